"""Drives subscriptions as a state machine: whatever the commands and the time, they show what the model shows.

After every step balance, renewal and a moment of the past are compared for each subscription; at the end, every charge.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.catalogue import Settings
from services.subscription.commands import (
    CancelSubscription,
    ChargeGeneration,
    Command,
    ResumeSubscription,
    ScheduleDowngrade,
    StartSubscription,
    UpgradePlan,
)
from tests.integration.time.worlds import World
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.model import ModelLedger
from tests.unit.subscription.plain_months import NEVER
from tests.unit.subscription.simulation import MICROSECOND, PLAN_IDS, STARTS_FROM

SUBSCRIPTIONS_MAX = 3
AMOUNTS = ("1", "999", "half", "all", "more")

plans = st.sampled_from(PLAN_IDS)
indexes = st.integers(0, SUBSCRIPTIONS_MAX - 1)
instants = st.integers(0, 3 * 365 * 86_400).map(lambda seconds: STARTS_FROM + timedelta(seconds=seconds))


class SubscriptionMachine(RuleBasedStateMachine):
    """Some subscriptions, in a world and in the model."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.model = ModelLedger(odd_catalogue())
        self.ids: list[UUID] = []
        self.now = NEVER
        self.started_at: dict[UUID, datetime] = {}
        self.moments: list[datetime] = []
        self.generations = 0
        self.last_charges: dict[UUID, ChargeGeneration] = {}

    @initialize(now=instants, plan_id=plans)
    def begin(self, now: datetime, plan_id: str) -> None:
        self.now = now
        self.world.begin(now)
        self._start(plan_id)

    @precondition(lambda self: len(self.ids) < SUBSCRIPTIONS_MAX)
    @rule(plan_id=plans)
    def start(self, plan_id: str) -> None:
        self._start(plan_id)

    @rule(which=indexes, amount=st.sampled_from(AMOUNTS), model=st.sampled_from(("music", "image", "voiceover")))
    def charge(self, which: int, amount: str, model: str) -> None:
        id = self._id(which)
        balance = self.model.balance(id, self.now).balance_credits
        by_name = {"half": balance // 2, "all": balance, "more": balance + 1}
        characters = max(1, by_name[amount] if amount in by_name else int(amount))
        self.generations += 1
        self.last_charges[id] = ChargeGeneration(f"g-{self.generations}", model, Settings(characters=characters))
        self._execute(id, self.last_charges[id])

    @rule(which=indexes)
    def repeat_the_last_charge(self, which: int) -> None:
        if (command := self.last_charges.get(self._id(which))) is not None:
            self._execute(self._id(which), command)

    @rule(which=indexes, plan_id=plans)
    def upgrade(self, which: int, plan_id: str) -> None:
        self._execute(self._id(which), UpgradePlan(plan_id))

    @rule(which=indexes, plan_id=plans)
    def downgrade(self, which: int, plan_id: str) -> None:
        self._execute(self._id(which), ScheduleDowngrade(plan_id))

    @rule(which=indexes)
    def cancel(self, which: int) -> None:
        self._execute(self._id(which), CancelSubscription("term_end"))

    @precondition(lambda self: len(self.ids) == SUBSCRIPTIONS_MAX)
    @rule()
    def cancel_at_once(self) -> None:
        self._execute(self.ids[-1], CancelSubscription("now"))

    @rule(which=indexes)
    def resume(self, which: int) -> None:
        self._execute(self._id(which), ResumeSubscription())

    @rule(which=indexes, what=st.sampled_from(("cycle", "term")), offset=st.sampled_from((-1, 0, 1)))
    def wait_for_a_boundary(self, which: int, what: str, offset: int) -> None:
        now = self.model.balance(self._id(which), self.now)
        ends_at = now.cycle.ends_at if what == "cycle" else now.term.ends_at
        self._wait(ends_at + offset * MICROSECOND)

    @rule(days=st.sampled_from((1, 17, 95, 400)))
    def wait(self, days: int) -> None:
        self._wait(self.now + timedelta(days=days))

    @rule()
    def record_what_is_due(self) -> None:
        self.world.record()
        for id in self.ids:
            assert self.world.balance(id).version == self.model.balance(id, self.now).version

    @invariant()
    def it_shows_what_the_model_shows(self) -> None:
        for id in self.ids:
            expected = self.model.balance(id, self.now)
            actual = self.world.balance(id)
            assert actual._replace(version=0) == expected._replace(version=0)
            assert actual.version <= expected.version
            assert self.world.renewal(id) == self.model.renewal(id, self.now)

    @precondition(lambda self: len(self.moments) > 1)
    @rule(number=st.integers(0, 100), offset=st.sampled_from((-1, 0, 1)))
    def show_the_past(self, number: int, offset: int) -> None:
        for id in self.ids:
            at = self.moments[number % len(self.moments)] + offset * MICROSECOND
            if self.started_at[id] <= at <= self.now:
                expected = self.model.balance(id, at)
                assert self.world.balance_at(id, at)._replace(version=0) == expected._replace(version=0)

    def teardown(self) -> None:
        for id in self.ids:
            charges = self.model.subscriptions[id].charges.values()
            assert self.world.charges(id) == [
                (each.at, each.generation_id, each.credits, each.balance_after, each.cycle_number) for each in charges
            ]

    def _start(self, plan_id: str) -> None:
        id = uuid4()
        self.ids.append(id)
        self.started_at[id] = self.now
        self._execute(id, StartSubscription("account", plan_id))

    def _id(self, which: int) -> UUID:
        return self.ids[which % len(self.ids)]

    def _execute(self, id: UUID, command: Command) -> None:
        expected = self.model.apply(id, command, self.now)
        outcomes, members = self.world.execute(id, command)
        assert expected.code in outcomes, (command, expected, outcomes, members)
        for name, value in expected.details.items():
            assert _plain(members[name]) == _plain(value), (command, name)
        self.moments.append(self.now)

    def _wait(self, to: datetime) -> None:
        self.now = max(self.now, to)
        self.world.move(self.now)
        self.moments.append(self.now)


def _plain(value: Any) -> Any:
    """Normalise a member, so that the API's form and the core's compare."""
    match value:
        case str() | Mapping():
            return value
        case Sequence():
            return list(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            return value
