"""Plays simulated histories: the core and the model get the same commands, and must show the same after each.

A history is its beginning and a list of steps, each a wait and a request. Both come from fixed tables, so that a
generator needs no knowledge of the rules; what depends on the state (`all` of the balance, the end of the `cycle`) is
computed while it is played.
"""

from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import NamedTuple, get_args

import msgspec
from msgspec.structs import replace

from services.catalogue import Settings, UpgradePolicy
from services.subscription.boundaries import Boundary, as_of, boundaries
from services.subscription.commands import (
    AdjustCredits,
    AdoptTerms,
    CancelSubscription,
    ChangeAlerts,
    ChargeGeneration,
    Command,
    RecordDue,
    ResumeSubscription,
    ScheduleDowngrade,
    StartSubscription,
    UpgradePlan,
)
from services.subscription.events import (
    ChargeReversed,
    CycleReset,
    Event,
    GenerationCharged,
    PlanUpgraded,
    SubscriptionEnded,
    TermRenewed,
)
from services.subscription.state import Subscription, evolve, fold
from tests.unit.subscription.catalogues import EDITIONS, odd_catalogue
from tests.unit.subscription.history import History
from tests.unit.subscription.model import UPCOMING, ModelSubscription, Outcome
from tests.unit.subscription.model_life import Balance, Change, Span
from tests.unit.subscription.plain_months import NEVER

MICROSECOND = timedelta(microseconds=1)
PLAN_IDS = tuple(plan.plan_id for plan in odd_catalogue().plans)
POLICIES: tuple[UpgradePolicy, ...] = get_args(UpgradePolicy)
STEPS_MAX = 40
STARTS_FROM, STARTS_WITHIN = datetime(2023, 1, 1, tzinfo=UTC), timedelta(days=3 * 365)

Wait = tuple[str, timedelta]
"""An offset from `now`, or from the end of the present `cycle` or `term`."""
Request = tuple[str, ...]
"""A verb and its arguments."""

WAITS: tuple[Wait, ...] = (
    *[("now", timedelta(0))] * 16,
    ("now", MICROSECOND),
    ("now", timedelta(seconds=37, microseconds=123_456)),
    ("now", timedelta(hours=27)),
    ("now", timedelta(days=9, hours=5)),
    ("now", timedelta(days=27)),
    ("now", timedelta(days=31)),
    ("now", timedelta(days=100, minutes=1)),
    ("now", timedelta(days=366)),
    *[(period, offset) for period in ("cycle", "term") for offset in (-MICROSECOND, timedelta(0), MICROSECOND)],
)

CHARGES: tuple[Request, ...] = (
    *[("charge", amount, "music") for amount in ("1", "1000", "half", "all", "more")],
    *[("charge", amount, "voiceover") for amount in ("150", "half", "all")],
    ("charge", "7", "image"),
    ("charge", "all", "video"),
    ("generate", "lyria-3", "{}"),
    ("generate", "lyria-3-pro", '{"count": 3, "duration_seconds": 61.5}'),
    ("generate", "banded", '{"duration_seconds": 60}'),
    ("generate", "banded", "{}"),
    ("generate", "withdrawn", '{"resolution": "2048x2048"}'),
    ("generate", "no-such-model", "{}"),
    ("retry",),
    *[("again", which) for which in ("0", "3")],
    *[("otherwise", what) for what in ("model", "settings")],
)
REVERSALS: tuple[Request, ...] = tuple(
    ("reverse", which, credit_to) for which in ("0", "1", "5") for credit_to in ("original_cycle", "current_cycle")
)
REQUESTS: tuple[Request, ...] = (
    *CHARGES * 6,
    *REVERSALS * 3,
    *[("upgrade", plan_id) for plan_id in PLAN_IDS] * 3,
    *[("downgrade", plan_id) for plan_id in PLAN_IDS],
    *[(verb, "no-such-plan") for verb in ("upgrade", "downgrade")],
    *[("adopt", which) for which in ("own", "own", "own", PLAN_IDS[0], "no-such-plan")],
    *[("cancel", "term_end")] * 4,
    ("cancel", "now"),
    *[("resume",)] * 8,
    *[("alerts", which) for which in ("0.5", "0.1", "none", "catalogue")],
    *[("adjust", amount, run) for amount in ("300", "-300", "all") for run in ("1", "2", "3")],
    *[("record",)] * 5,
    *[("start", which) for which in ("same", "other")],
)
REQUESTS_AND_EDITIONS: tuple[Request, ...] = (*REQUESTS, *[("catalogue", edition) for edition in EDITIONS] * 3)
"""The same, and changes to another edition of the catalogue, which a ledger cannot make while it is open."""
UPGRADES_AND_REVERSALS: tuple[Request, ...] = (
    *[("charge", amount, "music") for amount in ("half", "all", "5000")] * 4,
    *[("reverse", which, "current_cycle") for which in ("0", "1", "5")] * 4,
    *[("adjust", amount, run) for amount in ("5000", "-300") for run in ("1", "2")],
    *[("upgrade", plan_id) for plan_id in PLAN_IDS],
    *[("catalogue", edition) for edition in EDITIONS] * 2,
)
"""Requests of which each moves what the next one counts with."""


class Step(NamedTuple):
    """A wait, then a request."""

    wait: Wait
    request: Request


class Beginning(NamedTuple):
    """The start of a subscription: its instant and plan, and the upgrade policy of the catalogue."""

    at: datetime
    plan_id: str
    policy: UpgradePolicy


class Divergence(AssertionError):
    """The core and the model differ, or an invariant is broken."""


class Simulation:
    """One history while it is played, by the core and by the model."""

    def __init__(self, beginning: Beginning) -> None:
        catalogue = odd_catalogue(beginning.policy)
        self.history = History(catalogue)
        self.model = ModelSubscription(catalogue)
        self.at = beginning.at
        self.instants = [beginning.at]
        self.commands: list[tuple[datetime, Command]] = []
        """Every command, the start included, with its instant."""
        self._policy = beginning.policy
        self._start = StartSubscription("account", beginning.plan_id)
        self._charged: list[ChargeGeneration] = []
        self._refused: ChargeGeneration | None = None
        self._attempts = 0
        self._apply(self._start)

    def play(self, step: Step) -> None:
        """Play one step. Raises Divergence."""
        self.at = self._instant_after(step.wait)
        self.instants.append(self.at)
        self._apply(self._command(step.request))

    def check_past(self) -> None:
        """Check that every past instant shows what it showed, rebuilt from the events in their stored form."""
        encode, decode = msgspec.json.Encoder(decimal_format="number").encode, msgspec.json.decode
        recorded = [(at, decode(encode(event), type=type(event))) for at, event in self.history.recorded]
        _agree("the stored form", fold(event for _, event in recorded), self.history.state)
        state, position = None, 0
        for at in self.instants:
            while position < len(recorded) and recorded[position][0] <= at:
                state, position = evolve(state, recorded[position][1]), position + 1
            assert state is not None
            _agree(f"as of {at}", balance_of(as_of(state, at)), self.model.balance(at))

    def check_future(self) -> None:
        """Check that the core expects the same future as the model."""
        coming = islice(boundaries(self._state_now()), UPCOMING)
        expected = self.model.renewal(self.at).upcoming
        _agree("what is to come", tuple(_upcoming(boundary) for boundary in coming), expected)

    def _apply(self, command: Command) -> None:
        self.commands.append((self.at, command))
        before = self.model.balance(self.at) if self.history.state else None
        expected = self.model.apply(command, self.at)
        answer = self.history.apply(command, self.at)
        if isinstance(command, ChargeGeneration):
            if answer.code == "done":
                self._charged.append(command)
            elif answer.refusal is not None:
                self._refused = command
        fields = msgspec.structs.asdict(answer.refusal) if answer.refusal else {}
        _agree(f"the outcome of {command}", Outcome(answer.code, fields), expected)
        now = self.model.balance(self.at)
        _agree("what is shown", balance_of(self._state_now()), now)
        for event in answer.events:
            _agree(f"what {event} states", *self._statements(event, before, now))
        self._check_invariants(now)

    def _statements(self, event: Event, before: Balance | None, now: Balance) -> tuple[object, object]:
        """Return what an event states beyond the state after it, and what the model has for that."""
        balance_before = before.balance_credits if before else 0
        match event:
            case GenerationCharged():
                charge = self.model.charges[event.generation_id]
                stated = (event.credits, event.balance_before, event.balance_after, event.cycle_number)
                return stated, (charge.credits, balance_before, charge.balance_after, charge.cycle_number)
            case CycleReset():
                return event.lapsed_credits, self._balance_just_before(event.cycle.starts_at)
            case SubscriptionEnded():
                is_at_once = before is not None and before.status != "ended"
                return event.lapsed_credits, balance_before if is_at_once else self._balance_just_before(event.ended_at)
            case PlanUpgraded():
                return event.balance_before, balance_before
            case ChargeReversed():
                return (event.balance_after, event.cycle_number), (now.balance_credits, now.cycle.number)
            case _:
                return None, None

    def _recorded_state(self) -> Subscription:
        assert self.history.state is not None
        return self.history.state

    def _state_now(self) -> Subscription:
        return as_of(self._recorded_state(), self.at)

    def _balance_just_before(self, boundary_at: datetime) -> int:
        return self.model.balance(boundary_at - MICROSECOND).balance_credits

    def _check_invariants(self, now: Balance) -> None:
        holds = {
            "the balance is never negative": now.balance_credits >= 0,
            "nothing counted is negative": min(now.used_credits, now.reversed_credits, now.carried_credits) >= 0,
            "what was carried is part of what was granted": now.carried_credits <= now.granted_credits,
            "a cycle lies in its term": now.term.starts_at
            <= now.cycle.starts_at
            <= now.cycle.ends_at
            <= now.term.ends_at,
            "now lies in the cycle": now.cycle.starts_at <= self.at
            and (self.at < now.cycle.ends_at or now.status == "ended" or now.cycle.ends_at == NEVER),
            "the version counts the events": self._recorded_state().version == len(self.history.recorded),
        }
        for name, is_so in holds.items():
            if not is_so:
                raise Divergence(f"not so: {name}\n    {now}")

    def _instant_after(self, wait: Wait) -> datetime:
        since, offset = wait
        now = self.model.balance(self.at)
        start = {"now": self.at, "cycle": now.cycle.ends_at, "term": now.term.ends_at}[since]
        return NEVER if start > NEVER - offset else max(self.at, start + offset)

    def _command(self, request: Request) -> Command:
        match request:
            case "charge", amount, asset_type:
                return self._new_charge(asset_type, Settings(characters=self._credits(amount)))
            case "generate", model, settings:
                return self._new_charge(model, msgspec.json.decode(settings, type=Settings))
            case ("retry",) if self._refused is not None:
                return self._refused
            case "again", which if self._charged:
                return self._charged[int(which) % len(self._charged)]
            case "otherwise", what if self._charged:
                change = {"model": "image"} if what == "model" else {"settings": Settings(characters=99)}
                return replace(self._charged[-1], **change)
            case "reverse", which, credit_to if remaining := self._reversible():
                generation_id = remaining[int(which) % len(remaining)]
                return self.history.reversal_of(
                    generation_id, "original_cycle" if "original" in credit_to else "current_cycle"
                )
            case "upgrade", plan_id:
                return UpgradePlan(plan_id)
            case "downgrade", plan_id:
                return ScheduleDowngrade(plan_id)
            case "adopt", which:
                return AdoptTerms(self.model.balance(self.at).plan_id if which == "own" else which)
            case "cancel", when:
                return CancelSubscription("now" if when == "now" else "term_end")
            case "alerts", which:
                own = () if which == "none" else (which,)
                return ChangeAlerts(None if which == "catalogue" else own)
            case "adjust", amount, run:
                return AdjustCredits(-self._credits("more") if amount == "all" else int(amount), run, "wrong price")
            case ("resume",):
                return ResumeSubscription()
            case "catalogue", edition:
                self.history.catalogue = self.model.catalogue = odd_catalogue(self._policy, edition)
                return RecordDue()
            case "start", which:
                return self._start if which == "same" else replace(self._start, account_id="another")
            case _:  # `record`, and what there is nothing for
                return RecordDue()

    def _new_charge(self, model: str, settings: Settings) -> ChargeGeneration:
        self._attempts += 1
        return ChargeGeneration(f"generation-{self._attempts}", model, settings)

    def _credits(self, amount: str) -> int:
        balance = self.model.balance(self.at).balance_credits
        by_name = {"half": balance // 2, "all": balance, "more": balance + 1}
        return max(1, by_name[amount] if amount in by_name else int(amount))

    def _reversible(self) -> list[str]:
        return [charge.generation_id for charge in self._charged if charge.generation_id not in self.model.reversed]


def play(beginning: Beginning, steps: Sequence[Step]) -> None:
    """Play a whole history, then check its past and its future. Raises Divergence."""
    simulation = Simulation(beginning)
    for step in steps:
        simulation.play(step)
    simulation.check_past()
    simulation.check_future()


def random_history(random: Random, requests: Sequence[Request] = REQUESTS) -> tuple[Beginning, list[Step]]:
    """Draw a history; the same for the same state of the generator."""
    started_at = STARTS_FROM + timedelta(microseconds=random.randrange(STARTS_WITHIN // MICROSECOND))
    if random.random() < 0.2:  # at the end of a month, where clipping shows
        started_at = started_at.replace(day=monthrange(started_at.year, started_at.month)[1])
    if random.random() < 0.01:  # where the calendar ends
        started_at = started_at.replace(year=random.randint(9996, 9999), day=random.randint(1, 28))
    beginning = Beginning(started_at, random.choice(PLAN_IDS), random.choice(POLICIES))
    steps = [Step(random.choice(WAITS), random.choice(requests)) for _ in range(random.randint(1, STEPS_MAX))]
    return beginning, steps


def shortest(beginning: Beginning, steps: Sequence[Step]) -> tuple[list[Step], Exception]:
    """Drop the steps that a failure does not need; return those left and their failure."""
    needed, failure = list(steps), _failure(beginning, steps)
    for step in reversed(steps):
        without = [each for each in needed if each is not step]
        if (still := _failure(beginning, without)) is not None:
            needed, failure = without, still
    assert failure is not None, "a history that holds has nothing to be made short for"
    return needed, failure


def balance_of(state: Subscription) -> Balance:
    """Write a state of the core as the balance that the model has."""
    change = state.scheduled_change
    plan_id = change.plan.plan_id if change and change.plan else None
    return Balance(
        plan_id=state.plan.plan_id,
        status=state.status,
        balance_credits=state.balance_credits,
        granted_credits=state.granted_credits,
        used_credits=state.used_credits,
        reversed_credits=state.reversed_credits,
        carried_credits=state.carried_credits,
        anchor_at=state.anchor_at,
        cycle=Span(state.cycle.number, state.cycle.starts_at, state.cycle.ends_at),
        term=Span(state.term.number, state.term.starts_at, state.term.ends_at),
        scheduled_change=None if change is None else Change(change.kind, plan_id, change.effective_at),
        credits_renew_at=state.credits_renew_at,
        version=state.version,
    )


def _failure(beginning: Beginning, steps: Sequence[Step]) -> Exception | None:
    try:
        play(beginning, steps)
    except Exception as failure:  # noqa: BLE001 # a crash of the core is as much a failure as a divergence
        return failure
    return None


def _agree(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise Divergence(f"{what}\n    service: {actual}\n    model:   {expected}")


def _upcoming(boundary: Boundary) -> tuple[datetime, str, int]:
    kinds = {type(event) for event in boundary.events}
    renews = "term_renewal" if TermRenewed in kinds else "cycle_reset"
    return boundary.at, "ends" if SubscriptionEnded in kinds else renews, boundary.state.granted_credits
