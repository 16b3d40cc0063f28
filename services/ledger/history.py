"""History as it is stored: events with their JSON and hashes, and the refusals beside them."""

import time
from base64 import b64encode
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from math import inf
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import replace
from psycopg import Connection

from projections.charges.view import Charge
from projections.declaration import MAX_POSITION
from services.ledger.mapper import DISPUTE_TOPICS, read_charge, read_generation
from services.ledger.recorder import chained_event
from services.ledger.records import ChainedEvent, RecordedHold, RefusedOp
from services.postgres.sql import load_queries

SCANNED_POSITIONS = 20_000
"""So many positions one query of a scan looks through."""

JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class StoredEvent(Struct, frozen=True):
    """One recorded event. `data` and `metadata` are as they were stored, byte for byte; the hashes are hexadecimal.

    `hash` is over the stored form, `{"data":…,"metadata":…}`, with the event's place; `services/ledger/hashing.py`
    says how. `version` counts the events of the subscription, or of the dispute where there is a `dispute_id`;
    `position` counts over the ledger. `entry` is the event's entry in the log, in base64: `hash` is its leaf hash.
    """

    position: int
    subscription_id: UUID
    version: int
    type: str
    recorded_at: datetime
    data: JsonObject
    metadata: JsonObject
    hash: str
    previous_hash: str
    dispute_id: UUID | UnsetType = UNSET
    entry: str | UnsetType = UNSET


class EventFilter(Struct, frozen=True):
    """Which events of the ledger are meant; None for any. Those of a subscription include those of its disputes."""

    topic: str | None = None
    subscription_id: UUID | None = None
    request_id: str | None = None

    @property
    def request_mark(self) -> bytes | None:
        """The bytes of the metadata that name the request."""
        return None if self.request_id is None else f'"request_id":"{self.request_id}"'.encode()

    def includes(self, event: StoredEvent) -> bool:
        """Whether an event is meant."""
        return (
            self.topic in {None, event.type}
            and self.subscription_id in {None, event.subscription_id}
            and ((mark := self.request_mark) is None or mark in bytes(event.metadata))
        )


EVERYTHING = EventFilter()


class Scan(Struct, frozen=True):
    """What a look through the ledger found, how far it came, and whether that was the end."""

    events: list[StoredEvent]
    position: int
    is_at_end: bool


class StoredRefusal(Struct, frozen=True):
    """A charge, hold or capture that was refused for want of credits, plan or subscription, and what it was refused on.

    `available_credits` is null for refusals from before there were holds.
    """

    op: RefusedOp
    generation_id: str
    model: str
    settings: JsonObject
    code: str
    required_credits: int | None
    balance_credits: int
    available_credits: int | None
    version: int
    refused_at: datetime


class RefusalPlace(Struct, frozen=True, array_like=True, tag=True):
    """A place in the list of refusals, which goes from newest to oldest."""

    refused_at: Annotated[datetime, Meta(tz=True)]
    version: Annotated[int, Meta(ge=0, le=MAX_POSITION)]
    generation_id: Annotated[str, Meta(pattern=r"^[^\x00]*\Z")] = ""


NEWEST = RefusalPlace(datetime.max.replace(tzinfo=UTC), MAX_POSITION)
"""The place before the newest refusal."""


class History:
    """Reads the history of one schema."""

    def __init__(self, schema: str) -> None:
        self._queries = load_queries(__file__, "history.sql", schema=schema)

    def of_stream(
        self, connection: Connection[Any], stream_id: UUID, *, after_version: int, topic: str | None, limit: int
    ) -> list[StoredEvent]:
        """Return events of a stream above a version, oldest first."""
        arguments = {"id": stream_id, "after": after_version, "topic": topic, "limit": limit}
        return self._events(connection, "list_stream_events", arguments)

    def of_ledger(
        self,
        connection: Connection[Any],
        *,
        after_position: int,
        limit: int,
        chosen: "EventFilter",
        until_position: int = MAX_POSITION,
    ) -> list[StoredEvent]:
        """Return the chosen events of the ledger above a position, oldest first. No gap is ever filled in later."""
        arguments = {
            "after": after_position,
            "until": until_position,
            "topic": chosen.topic,
            "request": chosen.request_mark,
            "limit": limit,
        }
        if chosen.subscription_id is None:
            return self._events(connection, "list_ledger_events", arguments)
        return self._events(connection, "list_subscription_events", {**arguments, "id": chosen.subscription_id})

    def scan(
        self,
        connection: Connection[Any],
        *,
        after_position: int,
        limit: int,
        chosen: "EventFilter",
        seconds: float = inf,
    ) -> "Scan":
        """Look for the chosen events above a position, piece by piece, for so many seconds or until there are enough.

        So a filter that matches little keeps no query running for long, however large the ledger is.
        """
        if chosen.subscription_id is not None or chosen == EVERYTHING:
            events = self.of_ledger(connection, after_position=after_position, limit=limit, chosen=chosen)
            return Scan(events, events[-1].position if events else after_position, len(events) < limit)
        end, give_up_at = self.last_position(connection), time.monotonic() + seconds
        events, scanned = [], after_position
        while scanned < end and len(events) < limit and (scanned == after_position or time.monotonic() < give_up_at):
            until = min(scanned + SCANNED_POSITIONS, end)
            found = self.of_ledger(
                connection,
                after_position=scanned,
                until_position=until,
                limit=limit - len(events),
                chosen=chosen,
            )
            events += found
            scanned = events[-1].position if len(events) == limit else until
        return Scan(events, scanned, scanned >= end)

    def with_entries(self, connection: Connection[Any], events: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Return the same events with their entries."""
        arguments = {"positions": [event.position for event in events]}
        rows = map(chained_event, connection.execute(self._queries["select_events"], arguments))
        entries = {row.position: b64encode(row.entry).decode() for row in rows}
        return [replace(event, entry=entries[event.position]) for event in events]

    def positions(
        self, connection: Connection[Any], places: Collection[tuple[UUID, int]]
    ) -> dict[tuple[UUID, int], int]:
        """Read the positions of events, by the stream and the version of each."""
        arguments = {"ids": [id for id, _ in places], "versions": [version for _, version in places]}
        rows = connection.execute(self._queries["positions"], arguments)
        return {(id, version): position for id, version, position in rows}

    def last_position(self, connection: Connection[Any]) -> int:
        """Return the position of the last event that is committed; 0 before the first."""
        row = connection.execute(self._queries["last_position"]).fetchone()
        return int(row[0]) if row else 0

    def refusals(
        self, connection: Connection[Any], subscription_id: UUID, *, after: RefusalPlace, limit: int
    ) -> list[StoredRefusal]:
        """Return the refusals of a subscription after a place in the list, newest first."""
        arguments = {
            "id": subscription_id,
            "refused_at": after.refused_at,
            "generation_id": after.generation_id,
            "version": after.version,
            "limit": limit,
        }
        rows = connection.execute(self._queries["list_refusals"], arguments)
        return [StoredRefusal(op, gen, model, Raw(settings), *rest) for op, gen, model, settings, *rest in rows]

    def _events(self, connection: Connection[Any], query: str, arguments: dict[str, Any]) -> list[StoredEvent]:
        return self.read(connection, connection.execute(self._queries[query], arguments).fetchall())

    def read(self, connection: Connection[Any], rows: Iterable[Sequence[Any]]) -> list[StoredEvent]:
        """Make events of rows of the recorder's columns; those of disputes concern the subscriptions of these."""
        events = [chained_event(row) for row in rows]
        ids = list({event.originator_id for event in events if event.topic in DISPUTE_TOPICS})
        query = self._queries["subscriptions_of_disputes"]
        disputes = dict(connection.execute(query, {"ids": ids}).fetchall()) if ids else {}
        return [as_stored(event, disputes.get(event.originator_id)) for event in events]


def charge_from_row(event_row: Sequence[Any], reversal_row: Sequence[Any] | None) -> Charge:
    """Return the charge that an event's columns record, and its reversal's. Raises UnreadableEvent."""
    return read_charge(chained_event(event_row), None if reversal_row is None else chained_event(reversal_row)).view()


def hold_from_rows(rows: Iterable[Sequence[Any]]) -> RecordedHold:
    """Return the hold that events record: its own, that of its end and that of a reversal. Raises UnreadableEvent."""
    _, hold = read_generation(map(chained_event, rows))
    assert hold is not None
    return hold


class _StoredBody(Struct):
    data: Raw
    metadata: Raw


_BODY = msgspec.json.Decoder(_StoredBody)


def as_stored(event: ChainedEvent, disputed_subscription_id: UUID | None = None) -> StoredEvent:
    """Make the public form of an event; one of a dispute comes with the subscription that it is about."""
    body = _BODY.decode(event.state)
    return StoredEvent(
        position=event.position or 0,
        subscription_id=disputed_subscription_id or event.originator_id,
        dispute_id=event.originator_id if disputed_subscription_id else UNSET,
        version=event.originator_version,
        type=event.topic,
        recorded_at=event.recorded_at,
        data=body.data,
        metadata=body.metadata,
        hash=event.hash.hex(),
        previous_hash=event.previous_hash.hex(),
    )
