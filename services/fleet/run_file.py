"""Defines a run as NDJSON: its head, a line for each subscription with a difference, and an end with their hash."""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import msgspec
from msgspec import Struct

from services.ledger.what_if import Difference

FORM = 1
_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


class RunHead(Struct, frozen=True, tag="what_if_run", tag_field="kind", omit_defaults=True, kw_only=True):
    """The first line: the position up to which every history was replayed, and what was changed in it.

    `event_hash` is the hash of the event there, and `refusals` the number of the last refusal that was taken in.
    """

    form: int = FORM
    run_id: str
    position: int
    event_hash: str
    recorded_at: datetime
    refusals: int
    changes: dict[str, Any]
    plan_id: str | None = None

    def __post_init__(self) -> None:
        if self.form != FORM:
            raise ValueError(f"its form is {self.form}, and this program reads {FORM}")


class RunLine(Struct, frozen=True, tag="subscription", tag_field="kind"):
    """A subscription that the changes would have made a difference to.

    `difference_credits` is the replayed balance less the actual one. `turned_refusals` counts the refusals that would
    have been paid for, `turned_charges` what was paid for and would have been refused.
    """

    subscription_id: UUID
    difference_credits: int
    turned_refusals: int
    turned_charges: int
    differences: list[Difference]


class RunEnd(Struct, frozen=True, tag="end", tag_field="kind"):
    """The last line: the sums of the lines, and the SHA-256 of every byte before it."""

    lines: int
    difference_credits: int
    sha256: str


class _ReadLine(Struct, frozen=True, tag="subscription", tag_field="kind"):
    subscription_id: UUID
    difference_credits: int
    turned_refusals: int
    turned_charges: int
    differences: list[msgspec.Raw]


class NotARun(ValueError):
    """The file is no run that ended, or was altered since."""


class RunEntry(Struct, frozen=True):
    """A line of a run without its differences, of which it has the number."""

    subscription_id: UUID
    difference_credits: int
    turned_refusals: int
    turned_charges: int
    differences: int


def encode_line(line: RunHead | RunLine | RunEnd) -> bytes:
    """Write a line, with its end."""
    return _ENCODE(line) + b"\n"


_HEAD = msgspec.json.Decoder(RunHead)
_LINE = msgspec.json.Decoder(_ReadLine)
_END = msgspec.json.Decoder(RunEnd)


def read_head(line: bytes) -> RunHead:
    """Read the first line. Raises NotARun."""
    try:
        return _HEAD.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotARun(f"line 1 is no head of a run: {error}") from None


class RunFile:
    """A run in a file, which was checked as a whole when it was opened. Raises NotARun, OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as opened:
            self.head, self.end = self._checked(opened)

    def entries(self) -> Iterator[RunEntry]:
        """Yield the lines, in order. Raises NotARun where the file was altered meanwhile."""
        with self._path.open("rb") as opened:
            digest = sha256(opened.readline())
            for _ in range(self.end.lines):
                line = opened.readline()
                digest.update(line)
                yield _entry(line)
        if digest.hexdigest() != self.end.sha256:
            raise NotARun("it was altered while it was read")

    @staticmethod
    def _checked(opened: BinaryIO) -> tuple[RunHead, RunEnd]:
        first = opened.readline()
        head, digest, lines, total = read_head(first), sha256(first), 0, 0
        for line in opened:
            if not line.startswith(b'{"kind":"end"'):
                digest.update(line)
                lines, total = lines + 1, total + _entry(line).difference_credits
                continue
            try:
                end = _END.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise NotARun(f"its end is none: {error}") from None
            if opened.read(1) or encode_line(end) != line:
                raise NotARun("there is something behind its end")
            if (digest.hexdigest(), lines, total) != (end.sha256, end.lines, end.difference_credits):
                raise NotARun("it was altered: its lines are not those whose hash its end has")
            return head, end
        raise NotARun("it has no end: the run was cut short")


def _entry(line: bytes) -> RunEntry:
    try:
        read = _LINE.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotARun(f"it was altered, or is no run: {error}") from None
    return RunEntry(
        read.subscription_id,
        read.difference_credits,
        read.turned_refusals,
        read.turned_charges,
        len(read.differences),
    )
