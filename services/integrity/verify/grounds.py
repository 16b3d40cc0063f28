"""What a check rests on: each ground was checked, or was not available, and why."""

from typing import Literal

from msgspec import Struct

Status = Literal["checked", "not_available"]


class Ground(Struct, frozen=True):
    """Something that speaks for the ledger, if it was there to be checked."""

    what: str
    status: Status
    detail: str


def checked(what: str, detail: str) -> Ground:
    """A ground that was there."""
    return Ground(what, "checked", detail)


def not_available(what: str, detail: str) -> Ground:
    """A ground that was not there; the detail says how to have it."""
    return Ground(what, "not_available", detail)
