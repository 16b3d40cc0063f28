"""Defines the lines of a ledger as NDJSON: one JSON object a line, readable, and exact to the byte.

First a header, then test clocks, events in the ledger's order, refusals, and last an end line with the SHA-256 of every
byte before it. A file that goes on from another has the events after a position, and all clocks and refusals. `state`
is an event's stored JSON, as a string, so that not a space of it changes. API keys, idempotency records and the signed
log are left out: they belong to a service, not to a ledger. Where it is imported, a log begins.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

FORM = 2

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Header(Struct, frozen=True, tag="tallystick_export", tag_field="kind"):
    """The first line, with the number of events to come, and the position that they come after: 0 for all of them."""

    form: int
    exported_at: datetime
    events: int
    after: int = 0


class TestClockLine(Struct, frozen=True, tag="test_clock", tag_field="kind"):
    """A test clock, which the subscriptions on it need."""

    test_clock_id: str
    now: datetime
    created_at: datetime


class EventLine(Struct, frozen=True, tag="event", tag_field="kind"):
    """An event with every stored column, and its hash."""

    position: int
    stream_id: UUID
    version: int
    recorded_at: datetime
    type: str
    previous_hash: Hash
    hash: Hash
    state: str


class RefusalLine(Struct, frozen=True, tag="refusal", tag_field="kind"):
    """A charge, hold or capture that was refused; `settings` is JSON as a string."""

    subscription_id: UUID
    generation_id: str
    version: int
    model: str
    settings: str
    code: str
    required_credits: int | None
    balance_credits: int
    refused_at: datetime
    op: str
    available_credits: int | None


class End(Struct, frozen=True, tag="end", tag_field="kind"):
    """The last line, with the number of lines of each kind; a file without it was cut off."""

    test_clocks: int
    events: int
    refusals: int
    sha256: Hash


Line = Header | TestClockLine | EventLine | RefusalLine | End

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class NotAnExport(ValueError):
    """The text is not a whole export of a ledger."""


def encode_line(line: Line) -> bytes:
    """A line as JSON, with its line feed."""
    return _ENCODER.encode(line) + b"\n"


def decode_line(text: bytes, number: int) -> Line:
    """Decode a line; `number` counts from 1. Raises NotAnExport naming it."""
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotAnExport(f"line {number}: {error}") from None
