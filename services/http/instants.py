"""Instants in requests: RFC 3339 with an offset.

Digits beyond microseconds are cut off, where msgspec alone would round up: an instant of the next second, or cycle.
"""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, ValidationError, convert

_BEYOND_MICROSECONDS = re.compile(r"(\.[0-9]{6})[0-9]+")


class _DatetimeClass(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class _CutDatetime(metaclass=_DatetimeClass):
    """A datetime that msgspec leaves to `read_instant`."""


if TYPE_CHECKING:
    Instant = datetime
else:
    Instant = Annotated[
        _CutDatetime,
        Meta(extra_json_schema={"type": "string", "format": "date-time"}, examples=["2026-01-15T12:00:00Z"]),
    ]


def read_instant(kind: type, written: object) -> datetime:
    """Read an `Instant`, as a `dec_hook` of msgspec. Raises ValueError in msgspec's words."""
    assert kind is _CutDatetime, "every other type of a request is one that msgspec knows"
    return instant_of(written)


def instant_of(written: object) -> datetime:
    """Read an instant, in UTC. Raises ValueError in msgspec's words."""
    cut = _BEYOND_MICROSECONDS.sub(r"\1", written) if isinstance(written, str) else written
    try:
        at: datetime = convert(cut, Annotated[datetime, Meta(tz=True)])
    except ValidationError as error:
        raise ValueError(str(error)) from None  # msgspec adds the field to this one
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("Expected an instant of the years 1 to 9999 in UTC") from None
