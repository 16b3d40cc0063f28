"""The documentation of a route beyond its signature: the statuses of its answers, its refusals, examples."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct

from services.subscription.refusals import Refusal

_KEY = "documentation"


class Shown(NamedTuple):
    """An example of an answer, and the headers that come with it.

    `streams` has examples of the same in other forms, by media type, which the client gets by its `Accept`.
    """

    example: Any
    headers: tuple[str, ...] = ()
    media_type: str = "application/json"
    streams: Mapping[str, str] = MappingProxyType({})


class Documentation(NamedTuple):
    """The answers of a route by status, and the refusals that it can meet beyond those that all routes share.

    `missing` are refusals that are answered with 404 here, since what they miss is the resource itself.
    """

    answers: Mapping[int, Shown]
    refusals: tuple[type[Refusal], ...]
    missing: tuple[type[Refusal], ...]
    request: Struct | None


def documented(
    answers: Mapping[int, Any],
    *,
    refusals: tuple[type[Refusal], ...] = (),
    missing: tuple[type[Refusal], ...] = (),
    request: Struct | None = None,
) -> dict[str, Any]:
    """Make the documentation of a route, for its `openapi_extra`.

    `answers` has an example of each status, bare or `Shown` with more; its type is the handler's return type.
    `request` is an example of the body.
    """
    shown = {status: each if isinstance(each, Shown) else Shown(each) for status, each in answers.items()}
    return {_KEY: Documentation(shown, refusals, missing, request)}


def documentation_of(openapi_extra: dict[str, Any] | None) -> Documentation:
    """Return the documentation of a route from its `openapi_extra`. Raises KeyError where there is none."""
    documentation = (openapi_extra or {})[_KEY]
    assert isinstance(documentation, Documentation)
    return documentation
