"""Decides whether a subscription can pay for a generation, by which upgrades it could, and when little is left."""

from datetime import datetime

from services.catalogue import Plan, Quote
from services.catalogue.alerts import ten_thousandths, thresholds_of
from services.catalogue.policies import credits_after_upgrade
from services.subscription.events import AlertCrossed
from services.subscription.refusals import InsufficientCredits, NotInPlan, Refusal
from services.subscription.state import Subscription
from services.subscription.terms import Terms


def outside_the_plan(state: Subscription, quote: Quote, catalogue: Terms) -> Refusal | None:
    """Return the refusal of an asset type that the plan does not include."""
    if quote.asset_type in state.plan.asset_types:
        return None
    return NotInPlan(quote.asset_type, state.plan.plan_id, _options(state, catalogue, quote, quote.credits))


def too_few_credits(state: Subscription, quote: Quote, catalogue: Terms, held_credits: int = 0) -> Refusal | None:
    """Return the refusal of a price that is above what is available; `held_credits` are set aside for it already."""
    needed = quote.credits - held_credits
    if needed <= (available := state.available_credits):
        return None
    return InsufficientCredits(
        required_credits=quote.credits,
        balance_credits=state.balance_credits,
        available_credits=available,
        credits_renew_at=state.credits_renew_at,
        upgrade_options=_options(state, catalogue, quote, needed),
    )


def crossed_alerts(
    state: Subscription, available_credits: int, now: datetime, catalogue: Terms
) -> tuple[AlertCrossed, ...]:
    """Return the thresholds at or above what is available then that were not crossed in this cycle before."""
    granted_credits = state.granted_credits
    thresholds = catalogue.alerts_for(state.plan.plan_id) if state.alerts is None else thresholds_of(state.alerts)
    if not thresholds or not thresholds[0].is_reached(available_credits, granted_credits):
        return ()
    before = {ten_thousandths(each.threshold) for each in state.crossed_alerts}
    return tuple(
        AlertCrossed(each.text, available_credits, granted_credits, now)
        for each in thresholds
        if each.is_reached(available_credits, granted_credits) and each.ten_thousandths not in before
    )


def tier_of(state: Subscription, catalogue: Terms) -> int:
    """Return the tier of the subscription's plan: tiers may be renumbered after a plan was agreed."""
    return catalogue.tier_of(state.plan.plan_id, state.plan.tier)


def _options(state: Subscription, catalogue: Terms, quote: Quote, needed: int) -> tuple[str, ...]:
    """List the plans after whose upgrade the generation could be paid, beside all that is held."""
    return tuple(
        plan.plan_id
        for plan in catalogue.plans_above(tier_of(state, catalogue), quote.asset_type)
        if _balance_after_upgrade(state, plan, catalogue) - state.held_credits >= needed
    )


def _balance_after_upgrade(state: Subscription, plan: Plan, catalogue: Terms) -> int:
    return credits_after_upgrade(catalogue.policy_for(plan), state, plan.monthly_credits).balance_credits
