"""Makes the page of statements, to read and to print, from the template and the style sheet beside it."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from msgspec import UNSET

from services.ledger.statements import Statement


def statement_page(statements: Sequence[Statement]) -> bytes:
    """Make the page of some statements of a subscription, of one at least."""
    return _template().render(css=_css(), statements=statements, UNSET=UNSET).encode()


@cache
def page_headers() -> Mapping[str, str]:
    """Return the headers of the page: it runs no script, loads nothing, and has no style but its own."""
    style = b64encode(sha256(_css().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "vary": "Accept",
    }


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(credits=_credits, signed=_signed, instant=_instant)
    return environment.from_string((files("services.http") / "statement_page.html").read_text(encoding="utf-8"))


@cache
def _css() -> str:
    return (files("services.http") / "statement_page.css").read_text(encoding="utf-8")


def _credits(number: int) -> str:
    return f"{number:,}"


def _signed(number: int) -> str:
    return f"{number:+,}".replace("-", "\N{MINUS SIGN}") if number else "0"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
