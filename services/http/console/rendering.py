"""Renders the pages of the console from templates; every value is escaped."""

from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec import UNSET

from services.http.server.reply import encode


def render(template: str, **values: Any) -> str:
    """Render a template."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("services.http.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        credits=credits_in_words, signed=signed, instant=instant, iso=iso, json=_json, words=_words
    )
    environment.tests["given"] = lambda value: value is not UNSET and value is not None
    return environment


def credits_in_words(number: int) -> str:
    """Write credits with separators."""
    return f"{number:,}".replace("-", "\N{MINUS SIGN}")


def signed(number: int) -> str:
    """Write a change of credits with its sign."""
    return f"{number:+,}".replace("-", "\N{MINUS SIGN}") if number else "0"


def instant(at: datetime) -> str:
    """Write an instant for people, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def iso(at: datetime) -> str:
    """Write an instant as the API does, to the microsecond."""
    return str(msgspec.to_builtins(at))


def _json(value: Any) -> str:
    return msgspec.json.format(encode(value), indent=2).decode()


def _words(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")
