"""Replays recorded history with a change, through the rules that made it.

Every recorded command is decided anew by `decide`, at its instant and on its terms, and so is every recorded refusal.
An outcome that is not the recorded one is a difference. Without a change there is none.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import zip_longest

from msgspec import Struct
from msgspec.structs import replace

from services.catalogue import recompute
from services.catalogue.model import Quote
from services.catalogue.policies import UpgradePolicy
from services.subscription.boundaries import due_events
from services.subscription.commands import (
    AdjustCredits,
    CaptureHold,
    ChargeGeneration,
    Command,
    HoldCredits,
    RecordDue,
    ReleaseHold,
    ReverseCharge,
    StartSubscription,
)
from services.subscription.decide import decide
from services.subscription.events import CreditsHeld, Event, GenerationCharged
from services.subscription.holds import is_same_request
from services.subscription.outcomes import ChargeRefused, ChargeRepeated, ReplayOutcome, is_same, paired
from services.subscription.recorded_commands import (
    ChargeQuote,
    PastTerms,
    RecordedEvent,
    RecordedRefusal,
    Step,
    steps_of,
)
from services.subscription.refusals import Refusal
from services.subscription.state import Subscription, evolve
from services.subscription.terms import Terms


class InsertedCharge(Struct, frozen=True):
    """A charge that a change adds; it comes after everything that was recorded at its instant."""

    at: datetime
    command: ChargeGeneration


class Changes(Struct, frozen=True):
    """The changes to a history, all of them together.

    `reprice` gives a model's credits per unit (track, second, image, 1,000 characters), in place of those that it was
    charged at; `upgrade_policy` that of every upgrade. Inserted charges are priced by the card then in force.
    With another `catalogue`, generations cost what it says of their instants; a plan that it has grants its credits and
    includes its asset types, and upgrades to it go by its policy. What was an upgrade stays one.
    """

    without_generations: frozenset[str] = frozenset()
    reprice: Mapping[str, Decimal] = {}
    upgrade_policy: UpgradePolicy | None = None
    insert_charges: tuple[InsertedCharge, ...] = ()
    catalogue: Terms | None = None
    settled_by: str | None = None
    """How the ids of the runs begin that settled this very change: nobody would have asked for their corrections."""


Payment = ChargeGeneration | HoldCredits | CaptureHold


class ReplayDifference(Struct, frozen=True):
    """A command whose replayed outcome is not the recorded one. None is no outcome: on that side there is no command.

    `version` is that of the recorded event; of a refusal and of an inserted charge, the version that it came after.
    `type` is the event's; of a refusal and of an inserted charge, that of the event that the charge would have been.
    """

    version: int
    type: str
    generation_id: str | None
    actual: ReplayOutcome | None
    replayed: ReplayOutcome | None


class Replay(Struct, frozen=True):
    """The states after the last events by the end, as recorded and as replayed, and the differences up to there.

    As with every recorded state, `boundaries.as_of` applies what was due by the end and not recorded yet.
    """

    actual: Subscription
    replayed: Subscription
    differences: list[ReplayDifference]


def what_if(
    history: Sequence[RecordedEvent],
    refusals: Sequence[RecordedRefusal],
    changes: Changes,
    until: datetime,
    catalogue: Terms,
    on_step: Callable[[], None] = lambda: None,
) -> Replay:
    """Replay the history of one subscription, up to and at `until`, by when it must have started.

    `on_step` is called before each step, and may raise to end a long replay.

    The running balance that charges and reversals carry is no difference: every change moves all that follow.
    """
    history = [each for each in history if each.at <= until]
    refusals = [each for each in refusals if each.at <= until]
    inserted = [each for each in changes.insert_charges if each.at <= until]
    steps = steps_of(history, refusals, catalogue, changes.upgrade_policy)
    replay = _Replayer(changes)
    differences: list[ReplayDifference] = []
    for step in _with_inserted(steps, inserted, catalogue):
        on_step()
        differences += replay.play(step)
    differences += replay.boundary_differences(until)
    differences.sort(key=lambda each: (each.version, isinstance(each.actual, ChargeRefused | None)))
    assert replay.actual is not None, "the history begins by its end"
    assert replay.replayed is not None, "no change keeps a subscription from being started"
    return Replay(replay.actual, replay.replayed, differences)


def _with_inserted(steps: Iterable[Step], inserted: Sequence[InsertedCharge], catalogue: Terms) -> Iterator[Step]:
    waiting = deque(sorted(inserted, key=lambda each: each.at))
    version = 0
    for step in steps:
        while waiting and waiting[0].at < step.at:
            yield _insertion(waiting.popleft(), version, catalogue)
        yield step
        version = step.events[-1].version if step.events else version
    while waiting:
        yield _insertion(waiting.popleft(), version, catalogue)


def _insertion(inserted: InsertedCharge, version: int, catalogue: Terms) -> Step:
    return Step(version, inserted.at, inserted.command, PastTerms(catalogue))


class _Replayer:
    """Plays steps on two states side by side: the recorded one and the replayed one."""

    def __init__(self, changes: Changes) -> None:
        self.actual: Subscription | None = None
        self.replayed: Subscription | None = None
        self._changes = changes
        self._charges: dict[str, GenerationCharged] = {}
        self._actual_credits: dict[str, int] = {}
        self._holds: set[str] = set()
        self._actual_boundaries: list[RecordedEvent] = []
        self._replayed_boundaries: list[Event] = []

    def play(self, step: Step) -> list[ReplayDifference]:
        """Decide one step anew, and return the differences of its outcomes."""
        if self.replayed is not None:
            self._record_due(self.replayed, step.at)
        if isinstance(step.command, RecordDue):
            self._actual_boundaries += step.events
            actual, replayed = [], []
        else:
            actual, replayed = _recorded_outcomes(step), self._decide(step)
        for each in step.events:
            self.actual = evolve(self.actual, each.event)
            if isinstance(each.event, GenerationCharged):
                self._actual_credits[each.event.generation_id] = each.event.credits
        return [
            _difference(step.version + ordinal, step.command, *outcomes)
            for ordinal, outcomes in enumerate(zip_longest(actual, replayed))
            if not is_same(*outcomes)
        ]

    def boundary_differences(self, until: datetime) -> list[ReplayDifference]:
        """Return the differences of the boundaries up to the end.

        No change here bears on plans, cycles or terms, so both sides have the same boundaries of cycles; but they need
        not be recorded at the same step, since an inserted charge records what is due. A hold may expire on one side
        alone.
        """
        assert self.actual is not None
        assert self.replayed is not None
        version = self.actual.version
        due = due_events(self.actual, until)
        actual = self._actual_boundaries + [RecordedEvent(version + n, until, event) for n, event in enumerate(due, 1)]
        replayed = self._replayed_boundaries + due_events(self.replayed, until)
        return [
            _difference(each.version if each else version, RecordDue(), each.event if each else None, event)
            for each, event in paired(actual, replayed)
            if not is_same(each.event if each else None, event)
        ]

    def _record_due(self, state: Subscription, at: datetime) -> None:
        for event in due_events(state, at):
            self.replayed = evolve(self.replayed, event)
            self._replayed_boundaries.append(event)

    def _decide(self, step: Step) -> list[ReplayOutcome]:
        """Decide the command of a step; nothing where it would not have been put."""
        command, terms = step.command, step.terms
        if self._changes.catalogue is not None:
            terms = _with_catalogue(terms, self._changes)
        if isinstance(command, ChargeGeneration | HoldCredits | CaptureHold):
            if (known := self._known_outcome(step, command)) is not None:
                return known
            terms = self._repriced(terms, step.at, command)
        elif isinstance(command, AdjustCredits):
            if self._changes.settled_by is not None and command.run_id.startswith(self._changes.settled_by):
                return []
        elif isinstance(command, StartSubscription):
            if (plan := terms.plan(command.plan_id)) is not None:
                command = replace(command, used_credits=min(command.used_credits, plan.monthly_credits))
        elif isinstance(command, ReleaseHold):
            if command.generation_id in self._changes.without_generations:
                return []
        elif isinstance(command, ReverseCharge):
            if (charge := self._charges.get(command.generation_id)) is None:
                return []
            is_whole = command.credits == self._actual_credits[command.generation_id]
            part = charge.credits if is_whole else min(command.credits, charge.credits)
            command = replace(command, credits=part, charged_in_cycle=charge.cycle_number)
        decision = decide(self.replayed, command, step.at, terms)
        if isinstance(decision, Refusal):
            return [self._refused(decision.code, getattr(decision, "required_credits", None))]
        for event in decision:
            self.replayed = evolve(self.replayed, event)
            if isinstance(event, GenerationCharged):
                self._charges[event.generation_id] = event
            elif isinstance(event, CreditsHeld):
                self._holds.add(event.generation_id)
        return list(decision)

    def _known_outcome(self, step: Step, command: Payment) -> list[ReplayOutcome] | None:
        """Return the outcome of a request that is known without `decide`; None where `decide` has to tell."""
        is_recorded = step.events or step.refusal
        if is_recorded and command.generation_id in self._changes.without_generations:
            return []
        before = self._charges.get(command.generation_id)
        if isinstance(command, ChargeGeneration) and before is not None and is_same_request(before, command):
            return [ChargeRepeated()]
        if before is not None or (command.generation_id in self._holds and not isinstance(command, CaptureHold)):
            return [self._refused("generation_id_conflict")]
        if step.refusal is not None:
            decision = decide(self.actual, command, step.at, step.terms)
            if not isinstance(decision, Refusal) or decision.code != step.refusal.code:
                # With today's catalogue the recorded refusal cannot be reproduced, so it stands.
                return _recorded_outcomes(step)
        return None

    def _repriced(self, terms: PastTerms, at: datetime, command: Payment) -> PastTerms:
        """Return the terms of a payment with the price that it would have had."""
        other, past = self._changes.catalogue, terms.past_quote
        if isinstance(command, CaptureHold):
            held = self.replayed.hold_of(command.generation_id) if self.replayed is not None else None
            if held is None or command.settings is None:
                return terms
            model, entry = held.model, terms.past_entry
            quote: ChargeQuote = (other or terms).quote_entry(held.entry, command.settings, held.price.rate_card)
        else:
            model, entry = command.model, None if other is None else other.entry(command.model, at)
            quote = (other or terms).quote(model, command.settings, at)
        if other is not None:
            quote = past if past is not None and _is_same_price(past, quote) else quote
            terms = replace(terms, past_quote=quote, past_entry=entry)
        credits_per_unit = self._changes.reprice.get(model)
        if credits_per_unit is None or not isinstance(quote, Quote):
            return terms
        price = replace(quote.price, credits_per_unit=credits_per_unit)
        return replace(terms, past_quote=replace(quote, price=price, credits=recompute(price)))

    def _refused(self, code: str, required_credits: int | None = None) -> ChargeRefused:
        balance_credits = self.replayed.balance_credits if self.replayed is not None else 0
        return ChargeRefused(code, balance_credits, required_credits)


def _with_catalogue(terms: PastTerms, changes: Changes) -> PastTerms:
    """Return the terms of a step with what another catalogue says of its plan."""
    assert changes.catalogue is not None
    past = terms.past_plan
    plan = None if past is None else changes.catalogue.plan(past.plan_id)
    if past is None or plan is None:
        return replace(terms, today=changes.catalogue)
    policy = changes.upgrade_policy or changes.catalogue.policy_for(plan)
    changed = replace(past, monthly_credits=plan.monthly_credits, asset_types=plan.asset_types, upgrade_policy=policy)
    return replace(terms, today=changes.catalogue, past_plan=changed)


def _is_same_price(past: ChargeQuote, quote: ChargeQuote) -> bool:
    """Whether a price is the recorded one but for the version of its card."""
    if not isinstance(past, Quote) or not isinstance(quote, Quote):
        return past == quote
    return past == replace(quote, price=replace(quote.price, rate_card=past.price.rate_card))


def _recorded_outcomes(step: Step) -> list[ReplayOutcome]:
    if (refusal := step.refusal) is not None:
        return [ChargeRefused(refusal.code, refusal.balance_credits, refusal.required_credits)]
    return [each.event for each in step.events]


def _generation_id(about: Command | ReplayOutcome | None) -> str | None:
    found: str | None = getattr(about, "generation_id", None)
    return found


def _difference(
    version: int, command: Command, actual: ReplayOutcome | None, replayed: ReplayOutcome | None
) -> ReplayDifference:
    events = [
        type(each).__name__
        for each in (actual, replayed)
        if not isinstance(each, ChargeRefused | ChargeRepeated | None)
    ]
    return ReplayDifference(
        version=version,
        type=events[0]
        if events
        else CreditsHeld.__name__
        if isinstance(command, HoldCredits)
        else GenerationCharged.__name__,
        generation_id=next((each for each in map(_generation_id, (command, actual, replayed)) if each), None),
        actual=actual,
        replayed=replayed,
    )
