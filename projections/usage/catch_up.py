"""Applies events to the usage table, many to a statement."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.ledger_events import Decode, LedgerEvent
from projections.usage.project import UsageCounts, UsageKey, add, charged, reversed_charge
from services.postgres.sql import Queries
from services.subscription.events import ChargeReversed, GenerationCharged

Added = dict[tuple[UUID, UsageKey], UsageCounts]


class Usage:
    """The usage projection, over `queries` of `usage.sql`."""

    name = "usage"
    tables = ("usage",)
    topics = frozenset((GenerationCharged.__name__, ChargeReversed.__name__))

    def __init__(self, queries: Queries, decode: Decode) -> None:
        self._queries = queries
        self._decode = decode

    def apply(self, connection: Connection[Any], events: Sequence[LedgerEvent]) -> None:
        """Add what the events add. Raises LookupError for a reversal whose charge is not found."""
        added: Added = {}
        for each in events:
            if isinstance(each.event, GenerationCharged):
                note(added, each.stream_id, *charged(each.event, each.recorded_at))
        if reversals := [each for each in events if isinstance(each.event, ChargeReversed)]:
            self.note_reversals(connection, reversals, added)
        self.write(connection, added)

    def note_reversals(self, connection: Connection[Any], reversals: Sequence[LedgerEvent], added: Added) -> None:
        """Note what reversals add. Raises LookupError for one whose charge is not found."""
        wanted = {
            "ids": [each.stream_id for each in reversals],
            "generation_ids": [each.event.generation_id for each in reversals],
        }
        found = connection.execute(self._queries["find_originals"], wanted)
        originals = {(id, generation_id): self._decode(topic, state) for id, generation_id, topic, state in found}
        for each in reversals:
            original = originals.get((each.stream_id, each.event.generation_id))
            if not isinstance(original, GenerationCharged):
                raise LookupError(
                    f"no charge of {each.event.generation_id} is found, which event {each.position} gave back"
                )
            note(added, each.stream_id, *reversed_charge(each.event, each.recorded_at, original))

    def write(self, connection: Connection[Any], added: Mapping[tuple[UUID, UsageKey], UsageCounts]) -> None:
        """Add to the table."""
        if not added:
            return
        keys, counts = [key for _, key in added], added.values()
        arguments = {
            "ids": [id for id, _ in added],
            "days": [key.day for key in keys],
            "models": [key.model for key in keys],
            "asset_types": [key.asset_type for key in keys],
            "charges": [each.charges for each in counts],
            "credits": [each.credits for each in counts],
            "reversed": [each.reversed_credits for each in counts],
        }
        connection.execute(self._queries["add_usage"], arguments)


def note(added: Added, subscription_id: UUID, key: UsageKey, counts: UsageCounts) -> None:
    """Add to what is noted for a row."""
    place = subscription_id, key
    before = added.get(place)
    added[place] = counts if before is None else add(before, counts)
