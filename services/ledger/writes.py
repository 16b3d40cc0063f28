"""The rows that a batch leaves: inline projections, refusals, idempotency records, and last the events themselves."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from projections.balance import project as balance
from projections.charges import project as charges
from projections.renewal import project as renewal
from services.idempotency import IdempotencyRecord, insert_arguments, record_statements
from services.ledger.recorder import LedgerRecorder, PendingPositions
from services.ledger.records import AnyRecorded, Recorded, RefusalRow, StreamHead
from services.postgres.arrays import Array, Bigints, Texts, Uuids
from services.postgres.session import Session
from services.postgres.sql import load_queries
from services.subscription.events import ChargeReversed, GenerationCharged
from services.subscription.refusals import InsufficientCredits, NotInPlan, SubscriptionHasEnded

KEPT_REFUSALS = (InsufficientCredits, NotInPlan, SubscriptionHasEnded)
"""Refusals for want of credits, plan or subscription; a malformed request is no part of a customer's history."""

_SETTINGS = msgspec.json.Encoder(decimal_format="number")


class Writes:
    """Sends a batch's rows through the pipeline of the caller's transaction."""

    def __init__(self, recorder: LedgerRecorder, schema: str) -> None:
        self._recorder = recorder
        self._balance = load_queries("projections.balance", "balance.sql", schema=schema)
        self._renewal = load_queries("projections.renewal", "renewal.sql", schema=schema)
        self._charges = load_queries("projections.charges", "charges.sql", schema=schema)
        self._idempotency = record_statements(schema)

    def send(
        self,
        session: Session,
        recorded: Sequence[AnyRecorded],
        heads: Mapping[UUID, StreamHead],
        refusals: Iterable[RefusalRow],
        idempotency_records: Collection[IdempotencyRecord],
    ) -> PendingPositions | None:
        """Send everything; the positions of the events, or None where there are none."""
        if kept := [row for row in refusals if isinstance(row.refusal, KEPT_REFUSALS)]:
            session.execute(self._recorder.queries["insert_refusals"], _refusal_arrays(kept))
        if idempotency_records:
            session.execute(self._idempotency["insert_records"], insert_arguments(idempotency_records))
        if not recorded:
            return None
        of_subscriptions = [(ordinal, each) for ordinal, each in enumerate(recorded, 1) if isinstance(each, Recorded)]
        self._send_charges(session, [each for _, each in of_subscriptions])
        self._send_changed_terms(session, [each for _, each in of_subscriptions], heads)
        positions = self._recorder.append(session, [each.stored for each in recorded])
        if of_subscriptions:
            ordinals = {each.originator_id: ordinal for ordinal, each in of_subscriptions}
            self._send_balances(session, len(recorded), ordinals, heads)
        return positions

    def _send_charges(self, session: Session, recorded: Sequence[Recorded]) -> None:
        made: list[tuple[UUID, charges.ChargeRow]] = []
        reversed_: list[tuple[UUID, charges.ReversedCharge]] = []
        for each in recorded:
            row = charges.project(each.event, each.originator_version)
            if isinstance(row, charges.ChargeRow):
                made.append((each.originator_id, row))
            elif row is not None:
                reversed_.append((each.originator_id, row))
        if made:
            session.execute(self._charges["insert_charges"], _charge_arrays(made))
        if reversed_:
            session.execute(self._charges["reverse_charges"], _charge_arrays(reversed_))

    def _send_changed_terms(
        self, session: Session, recorded: Sequence[Recorded], heads: Mapping[UUID, StreamHead]
    ) -> None:
        """Whole rows, only of subscriptions to which more happened than a movement of counters."""
        changed = {
            each.originator_id for each in recorded if not isinstance(each.event, GenerationCharged | ChargeReversed)
        }
        if changed:
            states = {id: heads[id].state for id in changed}
            balances = {id: balance.project(state) for id, state in states.items()}
            renewals = {id: renewal.project(state) for id, state in states.items()}
            session.execute(self._balance["upsert_balances"], _balance_arrays(balances))
            session.execute(self._renewal["upsert_renewals"], _renewal_arrays(renewals))

    def _send_balances(
        self, session: Session, count: int, ordinals: Mapping[UUID, int], heads: Mapping[UUID, StreamHead]
    ) -> None:
        """The counters of each subscription, and the position of its last event: that ordinal of all `count`."""
        states = [heads[id].state for id in ordinals]
        arrays = {
            "count": count,
            "ids": Uuids(list(ordinals)),
            "versions": Bigints([state.version for state in states]),
            "used": Bigints([state.used_credits for state in states]),
            "reversed": Bigints([state.reversed_credits for state in states]),
            "ordinals": Bigints(list(ordinals.values())),
        }
        session.execute(self._balance["move_balances"], arrays)


def _charge_arrays(rows: Sequence[tuple[UUID, charges.ChargeRow | charges.ReversedCharge]]) -> dict[str, Array]:
    return {
        "ids": Uuids([id for id, _ in rows]),
        "generation_ids": Texts([row.generation_id for _, row in rows]),
        "versions": Bigints([row.version for _, row in rows]),
    }


def _balance_arrays(rows: Mapping[UUID, balance.BalanceRow]) -> dict[str, list[Any]]:
    values = rows.values()
    return {
        "ids": list(rows),
        "versions": [row.version for row in values],
        "used": [row.used_credits for row in values],
        "reversed": [row.reversed_credits for row in values],
        "granted": [row.granted_credits for row in values],
        "carried": [row.carried_credits for row in values],
        "cycle_numbers": [row.cycle_number for row in values],
        "starts": [row.cycle_starts_at for row in values],
        "ends": [row.cycle_ends_at for row in values],
        "renews": [row.credits_renew_at for row in values],
        "statuses": [row.status for row in values],
        "plan_ids": [row.plan_id for row in values],
        "test_clock_ids": [row.test_clock_id for row in values],
    }


def _renewal_arrays(rows: Mapping[UUID, renewal.RenewalRow]) -> dict[str, list[Any]]:
    values = rows.values()
    return {
        "ids": list(rows),
        "account_ids": [row.account_id for row in values],
        "statuses": [row.status for row in values],
        "dues": [row.next_due_at for row in values],
        "test_clock_ids": [row.test_clock_id for row in values],
        "states": [row.state for row in values],
    }


def _refusal_arrays(rows: Sequence[RefusalRow]) -> dict[str, list[Any]]:
    return {
        "ids": [row.subscription_id for row in rows],
        "generation_ids": [row.command.generation_id for row in rows],
        "versions": [row.version for row in rows],
        "models": [row.command.model for row in rows],
        "settings": [_SETTINGS.encode(row.command.settings).decode() for row in rows],
        "codes": [row.refusal.code for row in rows],
        "required": [getattr(row.refusal, "required_credits", None) for row in rows],
        "balances": [row.balance_credits for row in rows],
        "instants": [row.refused_at for row in rows],
    }
