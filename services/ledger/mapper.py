"""Stored JSON and events: `{"data": {...}, "metadata": {...}}`, one decoder a topic, old versions upcast.

The topic is the event's class name, so code may move without touching what is stored. An event whose form has changed
is stored with `"v": 2` (3, ...); `UPCASTERS[topic]` lists the functions that lift its data one version each.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, Generic, TypeVar, get_args
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from projections.charges.view import Reversal
from services.dispute.events import DisputeEvent, DisputeOpened
from services.ledger.hashing import NO_HASH
from services.ledger.records import (
    ChainedEvent,
    DisputeHead,
    Metadata,
    Recorded,
    RecordedCharge,
    RecordedDispute,
    RecordedHold,
    StreamHead,
    extend_dispute,
)
from services.subscription.events import ChargeReversed, CreditsHeld, Event, GenerationCharged, HoldReleased

SNAPSHOT_TOPIC = "StreamHeadWithHolds"
"""The form that snapshots are in. Name it anew when `Subscription` or what its events mean to it changes: snapshots of
another form are passed over, and streams folded from their beginning until there are new ones."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: Mapping[str, tuple[Upcaster, ...]] = {}

E = TypeVar("E")


class StoredBody(Struct, Generic[E], frozen=True, omit_defaults=True):
    """The JSON of a stored event; `v` is the version of the form of its data."""

    data: E
    metadata: Metadata
    v: int = 1


class UnreadableEvent(ValueError):
    """A stored event could not be read."""


_ENCODER = msgspec.json.Encoder(decimal_format="number")
_HEAD_DECODER = msgspec.json.Decoder(StreamHead)

Decoders = Mapping[str, msgspec.json.Decoder[StoredBody[Any]]]


def _decoders(union: Any) -> Decoders:
    """Make a decoder for each member of a union, by topic."""
    return {
        kind.__name__: msgspec.json.Decoder(StoredBody[kind])  # type: ignore[valid-type] # the union's own members
        for kind in get_args(union)
    }


_OF_SUBSCRIPTIONS = _decoders(Event)
_OF_DISPUTES = _decoders(DisputeEvent)
_OF_THE_LEDGER = {**_OF_SUBSCRIPTIONS, **_OF_DISPUTES}
TOPICS = tuple(_OF_THE_LEDGER)
"""The types of all events, by name."""
DISPUTE_TOPICS = frozenset(_OF_DISPUTES)
"""The types of those on the streams of disputes."""


def encode_head(head: StreamHead) -> bytes:
    """Encode a head as its snapshot has it."""
    return _ENCODER.encode(head)


def decode_head(state: bytes) -> StreamHead:
    """Decode the JSON of a snapshot. Raises msgspec.MsgspecError."""
    return _HEAD_DECODER.decode(state)


def next_event(
    stream_id: UUID, head: StreamHead | None, event: Event, metadata: Metadata, recorded_at: datetime
) -> Recorded:
    """Make the event the next of its subscription's stream, chained to the one before."""
    return Recorded(_chained(stream_id, head, event, metadata, recorded_at), event, metadata)


def next_dispute_event(
    stream_id: UUID, head: DisputeHead | None, event: DisputeEvent, metadata: Metadata, recorded_at: datetime
) -> RecordedDispute:
    """Make the event the next of its dispute's stream, chained to the one before."""
    return RecordedDispute(_chained(stream_id, head, event, metadata, recorded_at), event, metadata)


def read_event(stored: ChainedEvent) -> Recorded:
    """Read a stored event of a subscription, in today's form. Raises UnreadableEvent naming it."""
    body = _read_stored(stored, _OF_SUBSCRIPTIONS)
    return Recorded(stored, body.data, body.metadata)


def read_dispute_event(stored: ChainedEvent) -> RecordedDispute:
    """Read a stored event of a dispute, in today's form. Raises UnreadableEvent naming it."""
    body = _read_stored(stored, _OF_DISPUTES)
    return RecordedDispute(stored, body.data, body.metadata)


def read_charge(stored: ChainedEvent, reversed_by: ChainedEvent | None = None) -> RecordedCharge:
    """Read a stored charge, and the event that reversed it, where there is one. Raises UnreadableEvent naming it."""
    event = read_event(stored).event
    assert isinstance(event, GenerationCharged)
    return RecordedCharge(stored, event, None if reversed_by is None else read_reversal(reversed_by))


def read_reversal(stored: ChainedEvent) -> Reversal:
    """Read a stored reversal. Raises UnreadableEvent naming it."""
    event = read_event(stored).event
    assert isinstance(event, ChargeReversed)
    return Reversal(event.credits, stored.recorded_at, event.dispute_id)


def read_generation(events: Iterable[ChainedEvent]) -> tuple[RecordedCharge | None, RecordedHold | None]:
    """Read the charge and the hold of a generation from all events about it. Raises UnreadableEvent."""
    charge: RecordedCharge | None = None
    hold: RecordedHold | None = None
    for recorded in map(read_event, sorted(events, key=lambda stored: stored.originator_version)):
        match recorded.event:
            case CreditsHeld() as held:
                hold = RecordedHold(recorded.stored, held)
            case GenerationCharged() as charged:
                charge = RecordedCharge(recorded.stored, charged)
            case HoldReleased() as released if hold is not None:
                hold = replace(hold, status=released.cause, cycle_number=released.cycle_number)
            case ChargeReversed() if charge is not None:
                charge = replace(charge, reversal=read_reversal(recorded.stored))
            case _:
                pass
    if charge is not None and hold is not None:
        hold = replace(hold, status="captured", cycle_number=charge.event.cycle_number, charge=charge)
    return charge, hold


def fold_disputes(events: Iterable[ChainedEvent]) -> dict[UUID, DisputeHead]:
    """Fold the disputes among streams, whose events come in order, into heads by id. Raises UnreadableEvent."""
    heads: dict[UUID, DisputeHead] = {}
    for id, stream in groupby(events, key=lambda stored: stored.originator_id):
        first, *others = stream
        if first.topic == DisputeOpened.__name__:
            head = extend_dispute(None, map(read_dispute_event, (first, *others)))
            assert head is not None
            heads[id] = head
    return heads


def decode_event(topic: str, state: bytes) -> Event | DisputeEvent:
    """Decode an event alone, in today's form, for readers of the whole ledger. Raises UnreadableEvent."""
    event: Event | DisputeEvent = _read_body(topic, state, _OF_THE_LEDGER).data
    return event


def decode_subscription_event(topic: str, state: bytes) -> Event:
    """Decode an event of a subscription alone, in today's form. Raises UnreadableEvent."""
    event: Event = _read_body(topic, state, _OF_SUBSCRIPTIONS).data
    return event


def _chained(
    stream_id: UUID,
    head: StreamHead | DisputeHead | None,
    event: Event | DisputeEvent,
    metadata: Metadata,
    recorded_at: datetime,
) -> ChainedEvent:
    topic = type(event).__name__
    return ChainedEvent(
        originator_id=stream_id,
        originator_version=head.version + 1 if head else 1,
        topic=topic,
        state=_ENCODER.encode(StoredBody(event, metadata, 1 + len(UPCASTERS.get(topic, ())))),
        recorded_at=recorded_at,
        previous_hash=head.hash if head else NO_HASH,
    )


def _read_stored(stored: ChainedEvent, decoders: Decoders) -> StoredBody[Any]:
    try:
        return _read_body(stored.topic, stored.state, decoders)
    except UnreadableEvent as error:
        where = f"{stored.topic} {stored.originator_id} version {stored.originator_version}"
        raise UnreadableEvent(f"{where}: {error}") from error


def _read_body(topic: str, state: bytes, decoders: Decoders) -> StoredBody[Any]:
    try:
        decoder = decoders[topic]
        upcasters = UPCASTERS.get(topic, ())
        body: StoredBody[Any] = _upcast(state, upcasters, decoder.type) if upcasters else decoder.decode(state)
    except (LookupError, TypeError, AttributeError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise UnreadableEvent(f"{type(error).__name__}: {error}") from error
    if body.v > 1 + len(upcasters):
        raise UnreadableEvent(f"its form is version {body.v}, newer than this program")
    return body


def _upcast(state: bytes, upcasters: tuple[Upcaster, ...], form: Any) -> StoredBody[Any]:
    raw = msgspec.json.decode(state)
    for upcaster in upcasters[raw.get("v", 1) - 1 :]:
        raw["data"] = upcaster(raw["data"])
    body: StoredBody[Any] = msgspec.convert(raw, type=form)
    return body
