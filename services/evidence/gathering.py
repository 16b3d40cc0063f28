"""Gathers cases and charges from a ledger, and builds their evidence and receipts."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from psycopg import Connection

from services.dispute.events import DisputeOpened
from services.evidence.builder import build
from services.evidence.case import Case, Facts, facts_of, proven_events
from services.evidence.claims import Inconsistent
from services.evidence.faults import NotGenuine
from services.evidence.lineage import Lineage, Pins
from services.evidence.proving import (
    BeyondCheckpoint,
    index_of,
    lineage_from,
    prove_inclusion,
    prove_refusals,
    receipt_from,
)
from services.evidence.receipt import verify_receipt, write_receipt
from services.evidence.refusals import ProvenRefusals
from services.evidence.verify import verify
from services.integrity.sealing.entries import refusal_entry
from services.integrity.sealing.reader import LogReader
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.store import EVENTS, REFUSALS, LogName
from services.ledger.mapper import read_dispute_event
from services.ledger.recorder import chained_event
from services.ledger.records import ChainedEvent
from services.log.keys import VerifierKey
from services.log.note import Note
from services.postgres.sql import load_queries

REFUSALS_AROUND = 10
"""Refusals before the charge, and as many after it."""


class InconsistentLedger(RuntimeError):
    """The stored events do not make a file that holds; `tallystick verify` names what is wrong with them."""


class NotSealedYet(LookupError):
    """No checkpoint covers the event yet."""


class Evidence:
    """Builds evidence of the disputes, and receipts of the charges, of one schema, on autocommit connections."""

    def __init__(
        self, schema: str, sealer: Sealer, logs: Mapping[LogName, LogReader], clock: Callable[[], datetime]
    ) -> None:
        self._queries = load_queries(__file__, "gathering.sql", schema=schema)
        self._sealer = sealer
        self._logs = logs
        self._clock = clock

    def of_dispute(self, connection: Connection[Any], dispute_id: UUID, since: int | None = None) -> bytes | None:
        """Build the archive, with the proof from the tree of size `since`; None where there is no such dispute.

        Events that no checkpoint covers are sealed first. Raises BeyondCheckpoint for a size that is not reached yet,
        InconsistentLedger, and what `Sealer.seal` raises.
        """
        streams = self._streams(connection, dispute_id)
        if streams is None:
            return None
        dispute, subscription = streams
        if self._size(connection) <= max(index_of(dispute[-1]), index_of(subscription[-1])):
            self._sealer.seal(connection)
        lineage = self._lineage(connection, EVENTS, since)
        try:
            case = self._case(connection, subscription, dispute, lineage)
            archive = build(case, self._sealer.signer(), self._clock())
            verify(archive)
        except (Inconsistent, NotGenuine, BeyondCheckpoint, LookupError) as error:
            raise InconsistentLedger(f"dispute {dispute_id}: {error}") from error
        return archive

    def of_charge(
        self, connection: Connection[Any], subscription_id: UUID, generation_id: str, since: int | None = None
    ) -> bytes | None:
        """Write the receipt of a charge; None where there is no such charge.

        Raises NotSealedYet, BeyondCheckpoint for a size `since` that is not reached yet, InconsistentLedger.
        """
        charge = {"subscription_id": subscription_id, "generation_id": generation_id}
        row = connection.execute(self._queries["select_charge"], charge).fetchone()
        if row is None:
            return None
        event = chained_event(row)
        if self._size(connection) <= index_of(event):
            raise NotSealedYet(generation_id)
        lineage = self._lineage(connection, EVENTS, since)
        try:
            receipt = write_receipt(receipt_from(self._tiles(connection, EVENTS), event, lineage))
            verify_receipt(receipt, Pins(self._keys(connection)))
        except (NotGenuine, BeyondCheckpoint, LookupError) as error:
            raise InconsistentLedger(f"charge {generation_id} of {subscription_id}: {error}") from error
        return receipt

    def _streams(
        self, connection: Connection[Any], dispute_id: UUID
    ) -> tuple[list[ChainedEvent], list[ChainedEvent]] | None:
        """Read the dispute's events and those of its subscription, as of one moment."""
        opened = connection.execute(self._queries["select_opening"], {"id": dispute_id}).fetchone()
        if opened is None or (first := chained_event(opened)).topic != DisputeOpened.__name__:
            return None
        event = read_dispute_event(first).event
        assert isinstance(event, DisputeOpened)
        rows = connection.execute(self._queries["select_streams"], {"ids": [dispute_id, event.subscription_id]})
        by_stream = {
            id: list(events) for id, events in groupby(map(chained_event, rows), lambda each: each.originator_id)
        }
        return by_stream[dispute_id], by_stream[event.subscription_id]

    def _size(self, connection: Connection[Any]) -> int:
        newest = self._logs[EVENTS].newest(connection)
        return newest.checkpoint.size if newest else 0

    def _lineage(self, connection: Connection[Any], log: LogName, since: int | None = None) -> Lineage:
        """Read the newest checkpoint of a log, with the hand-overs before it. Raises BeyondCheckpoint."""
        newest = self._logs[log].newest(connection)
        if newest is None:
            raise BeyondCheckpoint("there is no checkpoint yet")
        handovers = self._logs[log].store.hand_overs(connection, newest.checkpoint.origin)
        return lineage_from(self._tiles(connection, log), newest.note, [each.note for each in handovers], since)

    def _tiles(self, connection: Connection[Any], log: LogName) -> Any:
        return self._logs[log].store.tiles(connection)

    def _keys(self, connection: Connection[Any]) -> list[VerifierKey]:
        return [VerifierKey.parse(vkey) for vkey in self._logs[EVENTS].keys(connection)]

    def _case(
        self,
        connection: Connection[Any],
        subscription: Sequence[ChainedEvent],
        dispute: Sequence[ChainedEvent],
        lineage: Lineage,
    ) -> Case:
        """Add the proofs to the streams. Raises Inconsistent, LookupError."""
        facts = facts_of(subscription, dispute)
        keys, witnesses = self._keys(connection), self._witnesses(connection, lineage.note)
        known = replace(lineage, note=_signed_by(lineage.note, [*keys, *witnesses]))
        tiles = self._tiles(connection, EVENTS)
        proofs = {what: prove_inclusion(tiles, event, known) for what, event in proven_events(facts, dispute).items()}
        refusals = self._refusals(connection, facts)
        return Case(subscription, dispute, keys, witnesses, known, proofs, refusals)

    def _witnesses(self, connection: Connection[Any], note: Note) -> list[VerifierKey]:
        """The witnesses that have cosigned a note, in the order of its lines."""
        rows = connection.execute(self._queries["select_witnesses"])
        keys = [VerifierKey.parse(vkey) for (vkey,) in rows]
        cosigned = [key for key in keys if note.is_signed_by(key)]
        return note.verified_by(cosigned) if cosigned else []

    def _refusals(self, connection: Connection[Any], facts: Facts) -> ProvenRefusals:
        newest = self._logs[REFUSALS].newest(connection)
        arguments = {
            "subscription_id": facts.charge_record.originator_id,
            "generation_id": facts.charge.generation_id,
            "at": facts.charge_record.recorded_at,
            "size": newest.checkpoint.size if newest else 0,
            "limit": REFUSALS_AROUND,
        }
        rows = connection.execute(self._queries["select_refusals"], arguments).fetchall()
        if not rows:
            return ProvenRefusals()
        entries = [refusal_entry(*row) for row in rows]
        return prove_refusals(self._tiles(connection, REFUSALS), entries, self._lineage(connection, REFUSALS))


def _signed_by(note: Note, keys: Sequence[VerifierKey]) -> Note:
    """The note with those lines alone that name one of the keys."""
    names = {(key.name, key.key_id) for key in keys}
    return replace(note, signatures=tuple(each for each in note.signatures if (each.name, each.key_id) in names))
