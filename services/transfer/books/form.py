"""Defines what a file of books says, whatever its format.

A head comes first, then a row for each event that moved credits, in the order of the ledger, then an end with the sums
of the rows. The hash in the head is that of the event at `position`, so that a file belongs to one ledger.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from projections.movements.queries import Movement

FORM = 1
SUMS = ("granted_credits", "used_credits", "reversed_credits", "lapsed_credits", "held_credits", "left_credits")

Position = Annotated[int, Meta(ge=0)]


class NotBooks(ValueError):
    """The file is not a whole file of books, or was altered."""


class NoParquet(RuntimeError):
    """The library that reads and writes Parquet is not installed."""


class Head(Struct, frozen=True, tag="tallystick_books", tag_field="kind", forbid_unknown_fields=True):
    """What a file is about: the events after one position, up to another, whose hash it has."""

    form: int
    exported_at: datetime
    after: Position
    position: Position
    hash: str


class End(Struct, frozen=True, tag="end", tag_field="kind", forbid_unknown_fields=True):
    """The number of rows and their sums; `sha256` is that of the bytes before it, in Parquet of the head."""

    rows: int
    granted_credits: int
    used_credits: int
    reversed_credits: int
    lapsed_credits: int
    held_credits: int
    left_credits: int
    sha256: str


class Sums:
    """Adds rows up."""

    def __init__(self) -> None:
        self._rows = 0
        self._sums = dict.fromkeys(SUMS, 0)

    def add(self, row: Movement) -> None:
        """Add a row."""
        self._rows += 1
        for name in SUMS:
            self._sums[name] += getattr(row, name)

    def end(self, sha256: str) -> End:
        """Make the end of a file of these rows."""
        return End(self._rows, **self._sums, sha256=sha256)


class Writer(Protocol):
    """Writes a file of books."""

    def begin(self, head: Head) -> None:
        """Write the head. Raises OSError."""

    def add(self, row: Movement) -> None:
        """Write a row. Raises OSError."""

    def end(self) -> End:
        """Write and return the end. Raises OSError."""


class Reader(Protocol):
    """Reads a file of books. The methods raise NotBooks."""

    head: Head

    def rows(self) -> Iterator[Movement]:
        """Yield the rows, and check the end behind them."""


def check_end(stated: End, sums: Sums, sha256: str) -> None:
    """Compare the end of a file with its rows. Raises NotBooks."""
    if stated != sums.end(sha256):
        raise NotBooks("the end does not fit the rows before it: the file was altered")
