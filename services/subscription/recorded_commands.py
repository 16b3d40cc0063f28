"""From what happened back to what was asked: the commands behind recorded events and kept refusals.

A step is one command, the instant at which it was decided, the terms that held then, and what came of it. The plans and
policies of a step are those that its events recorded, and so are the prices, so that a later catalogue does not change
what happened. A boundary has no command but `RecordDue`: time brings it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, convert
from msgspec.structs import asdict

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
from services.subscription.commands import (
    ChargeGeneration,
    Command,
    command_behind,
)
from services.subscription.events import (
    Event,
    GenerationCharged,
    PlanTerms,
    PlanUpgraded,
    SubscriptionCancelled,
    SubscriptionStarted,
)
from services.subscription.terms import Terms

ChargeQuote = Quote | UnknownModel | InvalidSettings


class RecordedEvent(Struct, frozen=True):
    """An event of the stream, with its version and when it was recorded."""

    version: int
    at: datetime
    event: Event


class RecordedRefusal(Struct, frozen=True):
    """A refused charge that was kept, with the version and the balance that it was refused on."""

    version: int
    at: datetime
    command: ChargeGeneration
    code: str
    required_credits: int | None
    balance_credits: int


class TermsThen(Struct, frozen=True):
    """Today's catalogue, but for the plan and the price of one step, which are those of its time."""

    today: Terms
    plan_then: Plan | None = None
    quote_then: ChargeQuote | None = None

    def plan(self, plan_id: str) -> Plan | None:
        """The plan of the step."""
        return self.plan_then or self.today.plan(plan_id)

    def policy_for(self, plan: Plan) -> UpgradePolicy:
        """The policy of the step."""
        return self.today.policy_for(plan)

    def upgrade_options(self, *, above_tier: int, asset_type: AssetType | None = None) -> tuple[str, ...]:
        """Today's: they are shown with a refusal, and decide nothing."""
        return self.today.upgrade_options(above_tier=above_tier, asset_type=asset_type)

    def quote(self, model: str, settings: Settings, at: datetime) -> ChargeQuote:
        """The price of the step."""
        return self.quote_then or self.today.quote(model, settings, at)


class Step(Struct, frozen=True):
    """One command, and what came of it: events from `version` on, or a refusal on it, or nothing as it was made up."""

    version: int
    at: datetime
    command: Command
    terms: TermsThen
    events: tuple[RecordedEvent, ...] = ()
    refusal: RecordedRefusal | None = None


def steps_of(
    history: Sequence[RecordedEvent], refusals: Sequence[RecordedRefusal], today: Terms, policy: UpgradePolicy | None
) -> Iterator[Step]:
    """The steps in the order in which they were decided; `policy`, where given, is that of every upgrade.

    A refusal comes after the event of the version that it saw. Those that saw the same version come in the order of
    their instants; within one instant, of their generation ids.
    """
    asset_types = {each.event.model: each.event for each in history if isinstance(each.event, GenerationCharged)}
    waiting = sorted(refusals, key=lambda each: (each.version, each.at, each.command.generation_id), reverse=True)
    for events in _by_command(history):
        while waiting and waiting[-1].version < events[0].version:
            yield _refused(waiting.pop(), today, asset_types)
        yield _carried_out(events, today, policy)
    while waiting:
        yield _refused(waiting.pop(), today, asset_types)


def _by_command(history: Sequence[RecordedEvent]) -> Iterator[tuple[RecordedEvent, ...]]:
    """The events of each command. Two commands have two events: a start, and a cancellation at once."""
    events = iter(history)
    for each in events:
        is_double = isinstance(each.event, SubscriptionStarted) or (
            isinstance(each.event, SubscriptionCancelled) and each.event.when == "now"
        )
        second = next(events, None) if is_double else None
        yield (each,) if second is None else (each, second)


def _carried_out(events: tuple[RecordedEvent, ...], today: Terms, policy: UpgradePolicy | None) -> Step:
    first = events[0]
    terms = _terms_then(first.event, today, policy)
    return Step(first.version, first.at, command_behind(first.event), terms, events=events)


def _terms_then(event: Event, today: Terms, policy: UpgradePolicy | None) -> TermsThen:
    """The terms on which an event was decided: it was decided on the plan, or on the price, that it records."""
    if isinstance(event, PlanUpgraded):
        return TermsThen(today, _plan(event.plan, policy or event.policy))
    if hasattr(event, "plan"):
        return TermsThen(today, _plan(event.plan))
    if hasattr(event, "price"):
        return TermsThen(today, quote_then=convert(event, Quote, from_attributes=True))
    return TermsThen(today)


def _plan(terms: PlanTerms, policy: UpgradePolicy | None = None) -> Plan:
    return Plan(**asdict(terms), upgrade_policy=policy)


def _refused(refusal: RecordedRefusal, today: Terms, charged: dict[str, GenerationCharged]) -> Step:
    command = refusal.command
    quote = today.quote(command.model, command.settings, refusal.at)
    required = refusal.required_credits
    if required is not None and not (isinstance(quote, Quote) and quote.credits == required):
        quote = _quote_of_refusal(command, required, quote, charged.get(command.model))
    return Step(refusal.version, refusal.at, command, TermsThen(today, quote_then=quote), refusal=refusal)


def _quote_of_refusal(
    command: ChargeGeneration, required: int, quote: ChargeQuote, charged: GenerationCharged | None
) -> ChargeQuote:
    """The price that a refusal named, where the catalogue of today would have it otherwise."""
    known = quote if isinstance(quote, Quote) else charged
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
