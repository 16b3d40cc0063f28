"""Derives the commands behind recorded events and recorded refusals.

A step is one command, the instant at which it was decided, the terms that held then, and its outcome. The plans,
policies and prices of a step are those that its events recorded, so that a later catalogue does not change history. A
boundary has no command but `RecordDue`: time brings it.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache

from msgspec import Struct, convert
from msgspec.structs import asdict, replace

from services.catalogue.alerts import Threshold
from services.catalogue.model import (
    AssetType,
    InvalidSettings,
    Plan,
    Price,
    Quote,
    Settings,
    UnknownModel,
)
from services.catalogue.policies import UpgradePolicy
from services.catalogue.rate_card import PricedModel
from services.subscription.commands import (
    AdoptTerms,
    CaptureHold,
    ChargeGeneration,
    Command,
    HoldCredits,
    ScheduleDowngrade,
    StartSubscription,
    command_behind,
)
from services.subscription.events import (
    CreditsGranted,
    CreditsHeld,
    Event,
    GenerationCharged,
    PlanTerms,
    PlanUpgraded,
    SubscriptionCancelled,
    SubscriptionStarted,
    TermRenewed,
)
from services.subscription.terms import Terms

ChargeQuote = Quote | UnknownModel | InvalidSettings


class RecordedEvent(Struct, frozen=True, gc=False):
    """An event of the stream, with its version and when it was recorded."""

    version: int
    at: datetime
    event: Event


class RecordedRefusal(Struct, frozen=True, gc=False):
    """A recorded refusal of a charge, hold or capture, with the version and the balance on which it was refused."""

    version: int
    at: datetime
    command: ChargeGeneration | HoldCredits | CaptureHold
    model: str
    code: str
    required_credits: int | None
    balance_credits: int


class PastTerms(Struct, frozen=True):
    """The terms of one step: today's catalogue, with the plan, the tiers and the price of the step's time."""

    today: Terms
    past_plan: Plan | None = None
    past_tier: int | None = None
    """The tier of the plan that the subscription had, as far as the step tells: below that of the plan of an upgrade,
    and no lower than that of a scheduled one."""
    past_quote: ChargeQuote | None = None
    past_entry: PricedModel | None = None

    def plan(self, plan_id: str) -> Plan | None:
        """Return the plan of the step, or else today's."""
        return self.past_plan or self.today.plan(plan_id)

    def policy_for(self, plan: Plan) -> UpgradePolicy:
        """Return the policy of the step's plan."""
        return self.today.policy_for(plan)

    def alerts_for(self, plan_id: str) -> tuple[Threshold, ...]:
        """Return today's thresholds: which of them were crossed decides nothing else."""
        return self.today.alerts_for(plan_id)

    def tier_of(self, plan_id: str, recorded_tier: int) -> int:
        """Return the tier of the step, or else today's."""
        return self.today.tier_of(plan_id, recorded_tier) if self.past_tier is None else self.past_tier

    def plans_above(self, tier: int, asset_type: AssetType) -> list[Plan]:
        """Return today's plans: they are options that a refusal shows, and decide nothing."""
        return self.today.plans_above(tier, asset_type)

    def entry(self, model: str, at: datetime) -> PricedModel | None:
        """Return what the step's card says of the model, or else today's."""
        return self.past_entry or self.today.entry(model, at)

    def quote_entry(self, entry: PricedModel, settings: Settings, rate_card: str) -> Quote | InvalidSettings:
        """Return the price of the step, or else that of the card."""
        if isinstance(self.past_quote, Quote):
            return self.past_quote
        return self.today.quote_entry(entry, settings, rate_card)

    def quote(self, model: str, settings: Settings, at: datetime) -> ChargeQuote:
        """Return the price of the step, or else today's."""
        return self.past_quote or self.today.quote(model, settings, at)


class Step(Struct, frozen=True, gc=False):
    """One command and its outcome: events from `version` on, or a refusal at it, or none where a change inserts it."""

    version: int
    at: datetime
    command: Command
    terms: PastTerms
    events: tuple[RecordedEvent, ...] = ()
    refusal: RecordedRefusal | None = None


_LastCharge = Callable[[str], GenerationCharged | CreditsHeld | None]
"""Gives the last charge or hold of a model."""


def steps_of(
    history: Sequence[RecordedEvent], refusals: Sequence[RecordedRefusal], today: Terms, policy: UpgradePolicy | None
) -> Iterator[Step]:
    """Yield the steps in the order in which they were decided; `policy`, where given, is that of every upgrade.

    A refusal comes after the event of the version that it saw. Those that saw the same version come in the order of
    their instants; within one instant, of their generation ids.
    """

    @cache
    def charged(model: str) -> GenerationCharged | CreditsHeld | None:
        events = (each.event for each in reversed(history))
        tried = (each for each in events if isinstance(each, GenerationCharged | CreditsHeld))
        return next((each for each in tried if each.model == model), None)

    waiting = sorted(refusals, key=lambda each: (each.version, each.at, each.command.generation_id), reverse=True)
    plan_id = ""
    for events in _by_command(history):
        while waiting and waiting[-1].version < events[0].version:
            yield _refused(waiting.pop(), today, charged)
        yield _executed(events, today, policy, plan_id)
        plan_id = _plan_after(events[0].event, plan_id)
    while waiting:
        yield _refused(waiting.pop(), today, charged)


def _by_command(history: Sequence[RecordedEvent]) -> Iterator[tuple[RecordedEvent, ...]]:
    """Group events by command. Two commands have two events: a start, and a cancellation at once."""
    events = iter(history)
    for each in events:
        is_double = isinstance(each.event, SubscriptionStarted) or (
            isinstance(each.event, SubscriptionCancelled) and each.event.when == "now"
        )
        second = next(events, None) if is_double else None
        yield (each,) if second is None else (each, second)


def _plan_after(event: Event, plan_id: str) -> str:
    return event.plan.plan_id if isinstance(event, SubscriptionStarted | PlanUpgraded | TermRenewed) else plan_id


def _executed(events: tuple[RecordedEvent, ...], today: Terms, policy: UpgradePolicy | None, plan_id: str) -> Step:
    first = events[0]
    terms = _past_terms(first.event, today, policy)
    command = command_behind(first.event)
    if isinstance(command, StartSubscription) and isinstance(granted := events[-1].event, CreditsGranted):
        command = replace(command, used_credits=granted.used_credits)
    if isinstance(command, ScheduleDowngrade) and command.plan_id == plan_id:
        command = AdoptTerms(plan_id)
    return Step(first.version, first.at, command, terms, events=events)


def _past_terms(event: Event, today: Terms, policy: UpgradePolicy | None) -> PastTerms:
    """Return the terms on which an event was decided: the plan, or the price, that it records."""
    if isinstance(event, PlanUpgraded):
        return PastTerms(today, _plan(event.plan, policy or event.policy), past_tier=event.plan.tier - 1)
    if hasattr(event, "plan"):
        return PastTerms(today, _plan(event.plan), past_tier=event.plan.tier)
    if hasattr(event, "price"):
        quote = convert(event, Quote, from_attributes=True)
        return PastTerms(today, past_quote=quote, past_entry=getattr(event, "entry", None))
    return PastTerms(today)


def _plan(terms: PlanTerms, policy: UpgradePolicy | None = None) -> Plan:
    return Plan(**asdict(terms), upgrade_policy=policy)


def _refused(refusal: RecordedRefusal, today: Terms, charged: _LastCharge) -> Step:
    command = refusal.command
    if isinstance(command, CaptureHold):  # priced by what its hold has recorded
        return Step(refusal.version, refusal.at, command, PastTerms(today), refusal=refusal)
    quote = today.quote(command.model, command.settings, refusal.at)
    required = refusal.required_credits
    if required is not None and not (isinstance(quote, Quote) and quote.credits == required):
        quote = _quote_of_refusal(command, required, quote, charged)
    return Step(refusal.version, refusal.at, command, PastTerms(today, past_quote=quote), refusal=refusal)


def _quote_of_refusal(
    command: ChargeGeneration | HoldCredits,
    required: int,
    quote: ChargeQuote,
    charged: _LastCharge,
) -> ChargeQuote:
    """Return the price that a refusal named, where today's catalogue has another."""
    known = quote if isinstance(quote, Quote) else charged(command.model)
    if known is None:
        return quote
    price = Price(
        rate_card="as refused",
        rule="as_refused",
        unit="generation",
        quantity=Decimal(1),
        credits_per_unit=Decimal(required),
    )
    return Quote(
        model=command.model,
        asset_type=known.asset_type,
        settings=command.settings,
        credits=required,
        price=price,
    )
