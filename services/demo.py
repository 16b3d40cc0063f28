"""Fills a ledger with believable subscriptions and charges, at full speed.

Customers start, generate by what their plan includes, run out and are refused, upgrade, cancel and come back, while
months pass. Every event is decided by the real rules, chained, and written with its read models by the statements that
the writer lane uses; only the waiting for each customer is left out. So what comes of it verifies like any ledger.
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
from services.ledger.application import LedgerApplication
from services.ledger.mapper import next_event
from services.ledger.records import Metadata, Recorded, RefusalRow, StreamHead, extend
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
LASTED = timedelta(days=180)
KEY_ID = "demo"

_RESTLESS = 0.004
"""The part of what customers do that is not generating: changing plans, cancelling, coming back."""

_STALE = 200
"""So many refusals in a row mean that nobody can pay any more."""


class Wanted(Struct, frozen=True):
    """How much to make, and up to which instant."""

    subscriptions: int
    events: int
    until: datetime

    def instant(self, made: int) -> datetime:
        """When what comes after so many events happens: they are spread evenly over the time up to `until`."""
        return self.until - LASTED * (1 - made / self.events)


class Demo:
    """Makes up histories. `seed` decides everything, ids included, so the same seed gives the same ledger."""

    def __init__(self, application: LedgerApplication, schema: str, catalogue: Catalogue, seed: int) -> None:
        self._application = application
        self._writes = Writes(application.recorder, schema)
        self._catalogue = catalogue
        self._random = random.Random(seed)  # noqa: S311 - makes up customers, not secrets
        self._streams: list[UUID] = []
        self._heads: dict[UUID, StreamHead] = {}
        self._recorded: list[Recorded] = []
        self._refusals: list[RefusalRow] = []
        self._asked = 0
        self._happened_at = 0

    def fill(self, connection: Connection[Any], wanted: Wanted, on_progress: Callable[[int], None]) -> int:
        """Write the events, or the few more that the last command came to; how many. Raises psycopg.Error."""
        session = Session(connection)
        written = 0
        while written < wanted.events:
            while len(self._recorded) < min(EVENTS_A_TRANSACTION, wanted.events - written):
                made = written + len(self._recorded)
                self._live(wanted.instant(made), self._next_customer(wanted, made))
            written += self._write(session)
            on_progress(written)
        return written

    def _next_customer(self, wanted: Wanted, made: int) -> UUID | None:
        """Someone who is there; None for someone new. All have come when a third is made.

        More come where those who are there have nothing left to spend, since time passes only with events.
        """
        expected = 1 + 3 * made * wanted.subscriptions // wanted.events
        if len(self._streams) < min(expected, wanted.subscriptions) or self._asked - self._happened_at > _STALE:
            return None
        return self._random.choice(self._streams)

    def _live(self, now: datetime, id: UUID | None) -> None:
        """One thing that a customer does, after what time has brought."""
        self._asked += 1
        if id is None:
            id = UUID(int=self._random.getrandbits(128), version=4)
            self._streams.append(id)
            plan = self._random.choice(self._catalogue.plans)
            self._put(id, StartSubscription(f"account-{len(self._streams)}", plan.plan_id), now)
            return
        head = self._heads[id]
        for event in due_events(head.state, now):
            self._record(id, event, now)
        if self._random.random() < _RESTLESS:
            self._put(id, self._change(), now)
        else:
            refusal = self._put(id, self._generation(self._heads[id], now), now)
            if isinstance(refusal, InsufficientCredits) and refusal.upgrade_options and self._random.random() < 0.1:
                self._put(id, UpgradePlan(self._random.choice(refusal.upgrade_options)), now)

    def _put(self, id: UUID, command: Command, now: datetime) -> Refusal | None:
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
        recorded = next_event(id, head, event, Metadata(KEY_ID, f"demo-{self._asked:x}"), now)
        after = extend(head, (recorded,))
        assert after is not None
        self._heads[id] = after
        self._recorded.append(recorded)
        self._happened_at = self._asked

    def _write(self, session: Session) -> int:
        recorded, refusals, self._recorded, self._refusals = self._recorded, self._refusals, [], []
        with session.pipeline():
            session.execute(b"BEGIN")
            session.execute(self._application.recorder.queries["begin_batch"])
            self._writes.send(session, recorded, self._heads, refusals, [])
            session.execute(b"COMMIT")
        passed = {each.originator_id for each in recorded if each.originator_version % SNAPSHOT_INTERVAL == 0}
        if passed and (snapshots := self._application.snapshots) is not None:
            snapshots.put([self._heads[id] for id in passed])
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
        """What the plan includes, most of the time."""
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
