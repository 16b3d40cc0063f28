"""History as it is stored: events with their JSON and hashes, and the refusals beside them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Raw, Struct
from psycopg import Connection

from projections.charges.view import Charge
from projections.ledger_events import MAX_POSITION
from services.ledger.mapper import read_charge
from services.ledger.recorder import chained_event
from services.ledger.records import ChainedEvent
from services.postgres.sql import load_queries

JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class StoredEvent(Struct, frozen=True):
    """One recorded event. `data` and `metadata` are as they were stored, byte for byte; the hashes are hexadecimal.

    `hash` is over the stored form, `{"data":…,"metadata":…}`, with the event's place; `services/ledger/hashing.py`
    says how. `stream_id` is the id of the subscription, or of the dispute, whose events `version` counts; `position`
    counts over the ledger.
    """

    position: int
    stream_id: UUID
    version: int
    type: str
    recorded_at: datetime
    data: JsonObject
    metadata: JsonObject
    hash: str
    previous_hash: str


class StoredRefusal(Struct, frozen=True):
    """A charge that was refused for want of credits, plan or subscription, and the state that it was refused on."""

    generation_id: str
    model: str
    settings: JsonObject
    code: str
    required_credits: int | None
    balance_credits: int
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
        self, connection: Connection[Any], *, after_position: int, topic: str | None, limit: int
    ) -> list[StoredEvent]:
        """Return events of the ledger above a position, oldest first. No gap is ever filled in later."""
        arguments = {"after": after_position, "topic": topic, "limit": limit}
        return self._events(connection, "list_ledger_events", arguments)

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
        return [StoredRefusal(gen, model, Raw(settings), *rest) for gen, model, settings, *rest in rows]

    def _events(self, connection: Connection[Any], query: str, arguments: dict[str, Any]) -> list[StoredEvent]:
        return [as_stored(chained_event(row)) for row in connection.execute(self._queries[query], arguments)]


def charge_from_row(event_row: Sequence[Any], is_reversed: bool) -> Charge:
    """Return the charge that an event's columns, in the recorder's order, record. Raises UnreadableEvent."""
    return read_charge(chained_event(event_row), is_reversed=is_reversed).view()


class _StoredBody(Struct):
    data: Raw
    metadata: Raw


_BODY = msgspec.json.Decoder(_StoredBody)


def as_stored(event: ChainedEvent) -> StoredEvent:
    """Make the public form of an event."""
    body = _BODY.decode(event.state)
    return StoredEvent(
        position=event.position or 0,
        stream_id=event.originator_id,
        version=event.originator_version,
        type=event.topic,
        recorded_at=event.recorded_at,
        data=body.data,
        metadata=body.metadata,
        hash=event.hash.hex(),
        previous_hash=event.previous_hash.hex(),
    )
