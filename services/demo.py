"""Fills a ledger with believable subscriptions and charges, at full speed.

Customers start, generate what their plan includes, run out and are refused, upgrade, cancel and come back, while months
pass. Every event is decided by the real rules, chained, and written with its read models by the statements that the
writer lane uses; only the waiting for each customer is left out. So the result verifies like any ledger.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, assert_never
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from services.catalogue import Catalogue, PerImage, PerSecond, PerThousandCharacters, PerTrack, Settings
from services.catalogue.rate_card import PricedModel
from services.ledger.mapper import next_event
from services.ledger.recorder import Recorder
from services.ledger.records import Metadata, Recorded, RefusalRow, StreamHead, extend
from services.ledger.snapshots import insert_snapshots
from services.ledger.writes import Writes
from services.postgres.session import Session
from services.subscription.boundaries import due_events
from services.subscription.commands import (
    CancelSubscription,
    ChargeGeneration,
    Command,
    ResumeSubscription,
    ScheduleDowngrade,
    StartSubscription,
    UpgradePlan,
)
from services.subscription.decide import decide
from services.subscription.events import Event
from services.subscription.refusals import InsufficientCredits, Refusal

EVENTS_A_TRANSACTION = 5_000
SNAPSHOT_INTERVAL = 200
TIMESPAN = timedelta(days=180)
KEY_ID = "demo"

_PLAN_CHANGE_SHARE = 0.004
"""The share of commands that change plans, cancel or resume; all others are charges."""

_REFUSALS_IN_A_ROW_MAX = 200
"""After more refusals in a row nobody can pay any more, and a new customer comes."""


class DemoSize(Struct, frozen=True):
    """The size of a demo, and the instant of its end."""

    subscriptions: int
    events: int
    until: datetime

    def instant(self, made: int) -> datetime:
        """Return the instant of the next event after so many; they are spread evenly over the time up to `until`."""
        return self.until - TIMESPAN * (1 - made / self.events)


class Demo:
    """Generates histories. `seed` decides everything, ids included, so the same seed gives the same ledger."""

    def __init__(self, schema: str, catalogue: Catalogue, seed: int) -> None:
        recorder = Recorder(schema)
        self._queries = recorder.queries
        self._writes = Writes(recorder, schema)
        self._catalogue = catalogue
        self._random = random.Random(seed)  # noqa: S311 - makes up customers, not secrets
        self._streams: list[UUID] = []
        self._heads: dict[UUID, StreamHead] = {}
        self._recorded: list[Recorded] = []
        self._refusals: list[RefusalRow] = []
        self._attempts = 0
        self._last_success = 0

    def fill(self, connection: Connection[Any], size: DemoSize, on_progress: Callable[[int], None]) -> int:
        """Write the events, and those that the last command adds; return their number. Raises psycopg.Error."""
        session = Session(connection)
        written = 0
        while written < size.events:
            while len(self._recorded) < min(EVENTS_A_TRANSACTION, size.events - written):
                made = written + len(self._recorded)
                self._act(size.instant(made), self._next_customer(size, made))
            written += self._write(session)
            on_progress(written)
        return written

    def _next_customer(self, size: DemoSize, made: int) -> UUID | None:
        """Choose a customer; None for a new one. All have come when a third of the events is made.

        More come where the present ones have nothing left to spend, since time passes only with events.
        """
        expected = min(1 + 3 * made * size.subscriptions // size.events, size.subscriptions)
        refusals_in_a_row = self._attempts - self._last_success
        if len(self._streams) < expected or refusals_in_a_row > _REFUSALS_IN_A_ROW_MAX:
            return None
        return self._random.choice(self._streams)

    def _act(self, now: datetime, id: UUID | None) -> None:
        """Record what is due for a customer, then carry out one command of theirs."""
        self._attempts += 1
        if id is None:
            id = UUID(int=self._random.getrandbits(128), version=4)
            self._streams.append(id)
            plan = self._random.choice(self._catalogue.plans)
            self._carry_out(id, StartSubscription(f"account-{len(self._streams)}", plan.plan_id), now)
            return
        head = self._heads[id]
        for event in due_events(head.state, now):
            self._record(id, event, now)
        if self._random.random() < _PLAN_CHANGE_SHARE:
            self._carry_out(id, self._change(), now)
        else:
            refusal = self._carry_out(id, self._generation(self._heads[id], now), now)
            if isinstance(refusal, InsufficientCredits) and refusal.upgrade_options and self._random.random() < 0.1:
                self._carry_out(id, UpgradePlan(self._random.choice(refusal.upgrade_options)), now)

    def _carry_out(self, id: UUID, command: Command, now: datetime) -> Refusal | None:
        head = self._heads.get(id)
        decision = decide(head.state if head else None, command, now, self._catalogue)
        if isinstance(decision, Refusal):
            if head is not None and isinstance(command, ChargeGeneration):
                self._refusals.append(RefusalRow.of(head, command, decision, now))
            return decision
        for event in decision:
            self._record(id, event, now)
        return None

    def _record(self, id: UUID, event: Event, now: datetime) -> None:
        head = self._heads.get(id)
        recorded = next_event(id, head, event, Metadata(KEY_ID, f"demo-{self._attempts:x}"), now)
        after = extend(head, (recorded,))
        assert after is not None
        self._heads[id] = after
        self._recorded.append(recorded)
        self._last_success = self._attempts

    def _write(self, session: Session) -> int:
        recorded, refusals, self._recorded, self._refusals = self._recorded, self._refusals, [], []
        with session.pipeline():
            session.execute(b"BEGIN")
            session.execute(self._queries["begin_batch"])
            self._writes.send(session, recorded, self._heads, refusals, [])
            session.execute(b"COMMIT")
        passed = {each.originator_id for each in recorded if each.originator_version % SNAPSHOT_INTERVAL == 0}
        if passed:
            with session.connection.transaction():
                insert_snapshots(session.connection, self._queries, [self._heads[id] for id in passed])
        return len(recorded)

    def _change(self) -> Command:
        plan_id = self._random.choice(self._catalogue.plans).plan_id
        return self._random.choice(
            (
                UpgradePlan(plan_id),
                ScheduleDowngrade(plan_id),
                CancelSubscription("term_end"),
                ResumeSubscription(),
                ResumeSubscription(),
            )
        )

    def _generation(self, head: StreamHead, now: datetime) -> ChargeGeneration:
        """Choose a generation that the plan includes, most of the time."""
        card = self._catalogue.card_at(now)
        assert card is not None, "a catalogue whose first card came after the demo began"
        included = [model for model in card.models if model.asset_type in head.state.plan.asset_types]
        models = included if included and self._random.random() < 0.99 else card.models
        model = self._random.choice(models)
        return ChargeGeneration(f"gen-{self._random.getrandbits(48):012x}", model.model, self._settings(model))

    def _settings(self, model: PricedModel) -> Settings:
        match model:
            case PerTrack():
                return Settings(duration_seconds=Decimal(self._random.randint(30, 180))) if model.bands else Settings()
            case PerSecond():
                return Settings(duration_seconds=Decimal(self._random.randint(2, 12)))
            case PerImage():
                return Settings(resolution=self._random.choice([None, *model.resolutions]))
            case PerThousandCharacters():
                return Settings(characters=self._random.randint(1, 30) * 100)
            case _:
                assert_never(model)
