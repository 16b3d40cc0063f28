"""What a route tells about itself: what it answers and refuses, each with an example.

What it takes is read from its signature; `services/http/documentation/openapi.py` makes one document of it all.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct

from services.subscription.refusals import Refusal

_KEY = "documentation"


class Shown(NamedTuple):
    """An answer: the type of its body, an example, and the headers that come with it.

    `streams` has examples of the same in other forms, by media type, which the client gets where its `Accept` asks so.
    """

    content: Any
    example: Any
    headers: tuple[str, ...] = ()
    media_type: str = "application/json"
    streams: Mapping[str, str] = MappingProxyType({})


class Documentation(NamedTuple):
    """What a route answers, by status, and which refusals it can meet beyond those that all routes share.

    `missing` are refusals that are answered with 404 here, since what they miss is the resource itself.
    """

    answers: Mapping[int, Shown]
    refusals: tuple[type[Refusal], ...]
    missing: tuple[type[Refusal], ...]
    request: Struct | None


def documented(
    answers: Mapping[int, Shown],
    *,
    refusals: tuple[type[Refusal], ...] = (),
    missing: tuple[type[Refusal], ...] = (),
    request: Struct | None = None,
) -> dict[str, Any]:
    """The documentation of a route, for its `openapi_extra`; `request` is an example of its body."""
    return {_KEY: Documentation(answers, refusals, missing, request)}


def documentation_of(openapi_extra: dict[str, Any] | None) -> Documentation:
    """The documentation that a route was given. Raises KeyError for a route without."""
    documentation = (openapi_extra or {})[_KEY]
    assert isinstance(documentation, Documentation)
    return documentation
