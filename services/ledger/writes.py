"""The rows that a batch leaves: inline projections, refusals, idempotency records, and last the events themselves."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from projections.balance.project import written_holds
from projections.declaration import SUBSCRIPTION_EVENTS, changes_state, moves_holds
from projections.registry import INLINE_ROWS, STATES
from projections.writers import EventRowsWriter, StateRowsWriter
from services.idempotency import IdempotencyRecord, insert_arguments, record_statements
from services.ledger.recorder import PendingPositions, Recorder
from services.ledger.records import AnyRecorded, Recorded, RecordedDispute, RefusalRow, StreamHead
from services.postgres.arrays import Bigints, Texts, Uuids
from services.postgres.session import Session
from services.postgres.sql import load_queries

_SETTINGS = msgspec.json.Encoder(decimal_format="number")


class Writes:
    """Sends a batch's rows through the pipeline of the caller's transaction."""

    def __init__(self, recorder: Recorder, schema: str) -> None:
        self._recorder = recorder
        self._states = [StateRowsWriter(each, schema) for each in STATES]
        rows = [EventRowsWriter(each, schema) for each in INLINE_ROWS]
        self._rows = [each for each in rows if each.projection.events <= SUBSCRIPTION_EVENTS]
        self._dispute_rows = [each for each in rows if each not in self._rows]
        self._balance = load_queries("projections.balance", "balance.sql", schema=schema)
        self._idempotency = record_statements(schema)

    def send(
        self,
        session: Session,
        recorded: Sequence[AnyRecorded],
        heads: Mapping[UUID, StreamHead],
        refusals: Sequence[RefusalRow],
        idempotency_records: Collection[IdempotencyRecord],
    ) -> PendingPositions | None:
        """Send everything; return the positions of the events, or None where there are none."""
        if refusals:
            session.execute(self._recorder.queries["insert_refusals"], _refusal_arrays(refusals))
        if idempotency_records:
            arguments = insert_arguments(idempotency_records)
            session.execute(self._idempotency["delete_guards"], arguments)
            session.execute(self._idempotency["insert_records"], arguments)
        if not recorded:
            return None
        of_subscriptions = [each for each in recorded if isinstance(each, Recorded)]
        self._send_rows(session, self._rows, of_subscriptions)
        if len(of_subscriptions) < len(recorded):
            of_disputes = [each for each in recorded if isinstance(each, RecordedDispute)]
            self._send_rows(session, self._dispute_rows, of_disputes)
        held = self._send_states(session, of_subscriptions, heads)
        positions = self._recorder.append(session, [each.stored for each in recorded])
        if of_subscriptions:
            ordinals = {
                each.originator_id: ordinal for ordinal, each in enumerate(recorded, 1) if isinstance(each, Recorded)
            }
            of_holds = {id: ordinals.pop(id) for id in held}
            if ordinals:
                session.execute(self._balance["move_balances"], _counters(len(recorded), ordinals, heads))
            if of_holds:
                counters = _counters(len(recorded), of_holds, heads)
                session.execute(self._balance["move_holds"], {**counters, **_held(of_holds, heads)})
        return positions

    def _send_rows(self, session: Session, writers: Iterable[EventRowsWriter], recorded: Sequence[AnyRecorded]) -> None:
        for writer in writers:
            project = writer.projection.project
            rows = [(each.originator_id, row) for each in recorded if (row := project(each)) is not None]
            writer.write(session, rows)

    def _send_states(
        self, session: Session, recorded: Sequence[Recorded], heads: Mapping[UUID, StreamHead]
    ) -> Collection[UUID]:
        """Send whole rows, only of subscriptions of which more changed than counters and holds.

        Returns those others of which holds changed: `move_holds` writes these.
        """
        changed = {each.originator_id for each in recorded if changes_state(each.event)}
        if changed:
            for writer in self._states:
                project = writer.projection.project
                writer.write(session, {id: project(heads[id].state, 0) for id in changed})
        return {each.originator_id for each in recorded if moves_holds(each.event)} - changed


def _counters(count: int, ordinals: Mapping[UUID, int], heads: Mapping[UUID, StreamHead]) -> dict[str, Any]:
    """Return the counters of each subscription and the place of its last event, that ordinal of all `count`."""
    states = [heads[id].state for id in ordinals]
    return {
        "count": count,
        "ids": Uuids(list(ordinals)),
        "versions": Bigints([state.version for state in states]),
        "used": Bigints([state.used_credits for state in states]),
        "reversed": Bigints([state.reversed_credits for state in states]),
        "ordinals": Bigints(list(ordinals.values())),
    }


def _held(ids: Iterable[UUID], heads: Mapping[UUID, StreamHead]) -> dict[str, Any]:
    states = [heads[id].state for id in ids]
    return {
        "held": Bigints([state.held_credits for state in states]),
        "holds": Texts([written_holds(state) for state in states]),
        "expire_at": [state.holds_expire_at for state in states],
    }


def _refusal_arrays(rows: Sequence[RefusalRow]) -> dict[str, list[Any]]:
    return {
        "ids": [row.subscription_id for row in rows],
        "ops": [row.op for row in rows],
        "generation_ids": [row.generation_id for row in rows],
        "versions": [row.version for row in rows],
        "models": [row.model for row in rows],
        "settings": [_SETTINGS.encode(row.settings).decode() for row in rows],
        "codes": [row.refusal.code for row in rows],
        "required": [getattr(row.refusal, "required_credits", None) for row in rows],
        "balances": [row.balance_credits for row in rows],
        "available": [row.available_credits for row in rows],
        "instants": [row.refused_at for row in rows],
    }
