"""Computes by the real rules, and records nothing: the price of a generation, the effect of an upgrade."""

from datetime import datetime
from typing import assert_never

from msgspec import UNSET, Struct, UnsetType

from projections.renewal.view import SubscribedPlan, subscribed_plan
from services.catalogue import Catalogue, InvalidSettings, Money, Price, Settings, UnknownModel, UpgradePolicy
from services.catalogue import Quote as CatalogueQuote
from services.catalogue.policies import credits_after_upgrade
from services.http.problems import Problem
from services.http.reads import CurrentSubscription
from services.subscription.boundaries import as_of
from services.subscription.calendar import Period
from services.subscription.commands import ChargeGeneration, ScheduleDowngrade, UpgradePlan
from services.subscription.decide import decide
from services.subscription.events import GenerationCharged, PlanUpgraded
from services.subscription.refusals import InvalidSettingsRefused, Refusal, UnknownModelRefused
from services.subscription.state import evolve


class Quote(Struct, frozen=True):
    """What a generation costs now; with a subscription, whether it can pay, and what would be left if so."""

    credits: int
    price: Price
    affordable: bool | UnsetType = UNSET
    balance_after: int | UnsetType = UNSET


class UpgradePreview(Struct, frozen=True):
    """What an upgrade now would leave: `balance_after = granted_credits - used_credits + reversed_credits`.

    `price` is what the new term is due with; null where the catalogue has none.
    """

    plan: SubscribedPlan
    policy: UpgradePolicy
    balance_before: int
    balance_after: int
    granted_credits: int
    used_credits: int
    reversed_credits: int
    carried_credits: int
    lapsing_credits: int
    cycle: Period
    term: Period
    price: Money | None


class DowngradePreview(Struct, frozen=True):
    """What a downgrade now would schedule, and what the term after it would then be.

    `lapsing_credits` is what of the balance now would be left, and lapse, at `effective_at`, if nothing more was spent
    and the cycle ended then. `price` is what the new term is due with; null where the catalogue has none.
    """

    plan: SubscribedPlan
    effective_at: datetime
    balance_before: int
    balance_after: int
    lapsing_credits: int
    cycle: Period
    term: Period
    price: Money | None


def price_of(model: str, settings: Settings, at: datetime, catalogue: Catalogue) -> Quote:
    """Price a generation at an instant. Raises Problem."""
    quoted = catalogue.quote(model, settings, at)
    match quoted:
        case UnknownModel():
            raise Problem(UnknownModelRefused(quoted.model))
        case InvalidSettings():
            raise Problem(InvalidSettingsRefused(quoted.key, quoted.reason))
        case CatalogueQuote():
            return Quote(quoted.credits, quoted.price)
        case _:
            assert_never(quoted)


def price_for(current: CurrentSubscription, model: str, settings: Settings, catalogue: Catalogue) -> Quote:
    """Price a generation now, and decide whether the subscription could pay for it. Raises Problem."""
    quote = price_of(model, settings, current.now, catalogue)
    charge = ChargeGeneration("quote", model, settings)
    match decide(current.state, charge, current.now, catalogue):
        case [GenerationCharged(balance_after=balance_after)]:
            return Quote(quote.credits, quote.price, affordable=True, balance_after=balance_after)
        case _:
            return Quote(quote.credits, quote.price, affordable=False)


def preview_of(current: CurrentSubscription, plan_id: str, catalogue: Catalogue) -> UpgradePreview:
    """Decide an upgrade now. Raises Problem for the refusal that it would meet."""
    decision = decide(current.state, UpgradePlan(plan_id), current.now, catalogue)
    if isinstance(decision, Refusal):
        raise Problem(decision)
    (event,) = decision
    assert isinstance(event, PlanUpgraded)
    after = credits_after_upgrade(event.policy, current.state, event.plan.monthly_credits)
    return UpgradePreview(
        plan=subscribed_plan(event.plan),
        policy=event.policy,
        balance_before=event.balance_before,
        balance_after=after.balance_credits,
        granted_credits=event.granted_credits,
        used_credits=event.used_credits,
        reversed_credits=event.reversed_credits,
        carried_credits=event.carried_credits,
        lapsing_credits=after.lapsed_credits,
        cycle=event.cycle,
        term=event.term,
        price=event.plan.price,
    )


def downgrade_preview_of(current: CurrentSubscription, plan_id: str, catalogue: Catalogue) -> DowngradePreview:
    """Decide a downgrade now, and look at the boundary at which it takes effect. Raises Problem for its refusal."""
    decision = decide(current.state, ScheduleDowngrade(plan_id), current.now, catalogue)
    if isinstance(decision, Refusal):
        raise Problem(decision)
    state = current.state
    for event in decision:
        state = evolve(state, event)
    effective_at = state.term.ends_at
    before = as_of(state, effective_at - datetime.resolution)
    after = as_of(state, effective_at)
    return DowngradePreview(
        plan=subscribed_plan(after.plan),
        effective_at=effective_at,
        balance_before=before.balance_credits,
        balance_after=after.balance_credits,
        lapsing_credits=before.available_credits,
        cycle=after.cycle,
        term=after.term,
        price=after.plan.price,
    )
