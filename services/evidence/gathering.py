"""Gathers a case from a ledger and builds its evidence. Events that no checkpoint covers are sealed first."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from psycopg import Connection

from services.dispute.events import DisputeOpened
from services.evidence.builder import build
from services.evidence.case import Case, Inconsistent, Proof, ProofSubject, facts_of, proven_events
from services.evidence.verify import NotGenuine, verify
from services.integrity.checkpoints import Checkpoint, Checkpoints
from services.integrity.merkle import inclusion_proof
from services.integrity.sealer import Sealer
from services.ledger.mapper import read_dispute_event
from services.ledger.recorder import chained_event
from services.ledger.records import ChainedEvent
from services.postgres.sql import load_queries


class InconsistentLedger(RuntimeError):
    """The stored events do not make evidence that holds; `tallystick verify` names what is wrong with them."""


class Evidence:
    """Builds evidence of the disputes of one schema."""

    def __init__(self, schema: str, sealer: Sealer, clock: Callable[[], datetime]) -> None:
        self._queries = load_queries(__file__, "gathering.sql", schema=schema)
        self._checkpoints = Checkpoints(schema)
        self._sealer = sealer
        self._clock = clock

    def of_dispute(self, connection: Connection[Any], dispute_id: UUID) -> bytes | None:
        """Build the archive, on an autocommit connection; None where there is no such dispute.

        Raises InconsistentLedger, and what `Sealer.seal` raises.
        """
        streams = self._streams(connection, dispute_id)
        if streams is None:
            return None
        dispute, subscription = streams
        self._seal_up_to(connection, max(_position(dispute[-1]), _position(subscription[-1])))
        try:
            case = self._case(connection, subscription, dispute)
            archive = build(case, self._sealer.key(connection), self._clock())
            verify(archive)
        except (Inconsistent, NotGenuine, LookupError) as error:
            raise InconsistentLedger(f"dispute {dispute_id}: {error}") from error
        return archive

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

    def _seal_up_to(self, connection: Connection[Any], position: int) -> None:
        latest = self._checkpoints.latest(connection)
        if latest is None or latest.to_position < position:
            self._sealer.seal(connection)

    def _case(
        self, connection: Connection[Any], subscription: Sequence[ChainedEvent], dispute: Sequence[ChainedEvent]
    ) -> Case:
        """Add the proofs to the streams. Raises Inconsistent, LookupError."""
        newest = self._checkpoints.latest(connection)
        assert newest is not None, "the events were sealed"
        leaves: dict[int, list[bytes]] = {}
        checkpoints = {newest.number: newest}
        proofs = []
        for what, event in proven_events(facts_of(subscription, dispute), dispute).items():
            checkpoint = self._checkpoints.covering(connection, _position(event))
            if checkpoint is None:
                raise LookupError(f"no checkpoint covers position {event.position}")
            checkpoints[checkpoint.number] = checkpoint
            if checkpoint.number not in leaves:
                leaves[checkpoint.number] = self._checkpoints.leaves(connection, checkpoint)
            proofs.append(_proof(what, event, checkpoint, leaves[checkpoint.number]))
        return Case(subscription, dispute, [checkpoints[number] for number in sorted(checkpoints)], proofs)


def _proof(what: ProofSubject, event: ChainedEvent, checkpoint: Checkpoint, leaves: Sequence[bytes]) -> Proof:
    index = _position(event) - checkpoint.from_position
    return Proof(
        what=what,
        stream_id=event.originator_id,
        version=event.originator_version,
        position=_position(event),
        checkpoint=checkpoint.number,
        leaf_index=index,
        tree_size=checkpoint.event_count,
        hashes=[each.hex() for each in inclusion_proof(leaves, index)],
    )


def _position(event: ChainedEvent) -> int:
    assert event.position is not None, "a stored event has a position"
    return event.position
