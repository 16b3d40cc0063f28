"""Decides what a command does to a subscription, or why it is refused: the credit rules.

`decide` is given the state with every due boundary applied, the instant and the catalogue; it returns events or a
refusal. An empty list of events means that the subscription is already as the command would have it.
"""

from datetime import datetime
from typing import assert_never

from msgspec import convert
from msgspec.structs import astuple

from services.catalogue import InvalidSettings, Plan, UnknownModel
from services.catalogue.policies import credits_after_upgrade
from services.subscription import holds
from services.subscription.calendar import MONTHS_PER_TERM, Period, month_of, months_after
from services.subscription.commands import (
    AdjustCredits,
    AdoptTerms,
    CancelSubscription,
    CaptureHold,
    ChangeAlerts,
    ChargeGeneration,
    Command,
    HoldCredits,
    RecordDue,
    ReinstateSubscription,
    ReleaseHold,
    ResumeSubscription,
    ReverseCharge,
    ScheduleDowngrade,
    StartSubscription,
    SuspendSubscription,
    UpgradePlan,
)
from services.subscription.events import (
    AlertsChanged,
    ChargeReversed,
    CreditsAdjusted,
    CreditsGranted,
    Event,
    GenerationCharged,
    PlanChangeScheduled,
    PlanChangeUnscheduled,
    PlanTerms,
    PlanUpgraded,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionReinstated,
    SubscriptionStarted,
    SubscriptionSuspended,
)
from services.subscription.paying import crossed_alerts, outside_the_plan, tier_of, too_few_credits
from services.subscription.refusals import (
    CycleClosed,
    HoldsOutstanding,
    InvalidSettingsRefused,
    InvalidValue,
    NotADowngrade,
    NotAnUpgrade,
    NothingScheduled,
    Refusal,
    SubscriptionExists,
    SubscriptionHasEnded,
    SubscriptionIsSuspended,
    UnknownModelRefused,
    UnknownPlan,
    UnknownSubscription,
)
from services.subscription.state import MovedIn, ScheduledChange, Subscription
from services.subscription.terms import Terms

Decision = list[Event] | Refusal


def decide(state: Subscription | None, command: Command, now: datetime, catalogue: Terms) -> Decision:
    """Decide the events that the command brings about now, or its refusal."""
    if isinstance(command, StartSubscription):
        return _start(state, command, now, catalogue)
    if state is None:
        return UnknownSubscription()
    if isinstance(command, RecordDue):
        return []
    assert (due_at := state.next_due_at) is None or now < due_at, "what is due is recorded before anything is decided"
    if isinstance(command, CaptureHold):
        return holds.capture(state, command, now, catalogue)
    if isinstance(command, ReleaseHold):
        return holds.release(state, command)
    if state.status == "ended":
        return SubscriptionHasEnded()
    if state.is_suspended and isinstance(command, ChargeGeneration | HoldCredits):
        return SubscriptionIsSuspended()
    match command:
        case ChargeGeneration():
            return _charge(state, command, now, catalogue)
        case HoldCredits():
            return holds.hold_credits(state, command, now, catalogue)
        case UpgradePlan():
            return _upgrade(state, command, now, catalogue)
        case ScheduleDowngrade():
            return _downgrade(state, command, catalogue)
        case AdoptTerms():
            return _adopt(state, command, catalogue)
        case CancelSubscription():
            return _cancel(state, command, now)
        case ChangeAlerts():
            return [] if command.alerts == state.alerts else [AlertsChanged(command.alerts)]
        case ResumeSubscription():
            change = state.scheduled_change
            return NothingScheduled() if change is None or state.adopts_terms else [PlanChangeUnscheduled(change.kind)]
        case SuspendSubscription():
            return [] if state.is_suspended else [SubscriptionSuspended(command.reason)]
        case ReinstateSubscription():
            return [SubscriptionReinstated(command.reason)] if state.is_suspended else []
        case ReverseCharge():
            return _reverse(state, command)
        case AdjustCredits():
            return _adjust(state, command, now, catalogue)
        case _:
            assert_never(command)


def terms_of(plan: Plan) -> PlanTerms:
    """Return the plan as an event records it."""
    return convert(plan, PlanTerms, from_attributes=True)


def _start(state: Subscription | None, command: StartSubscription, now: datetime, catalogue: Terms) -> Decision:
    if state is not None:
        brought = state.moved_in or MovedIn()
        recorded = (state.account_id, state.first_plan_id, state.test_clock_id, brought.anchor_at, brought.used_credits)
        return [] if recorded == astuple(command) else SubscriptionExists()
    plan = catalogue.plan(command.plan_id)
    if plan is None:
        return UnknownPlan(command.plan_id)
    if not 0 <= command.used_credits <= plan.monthly_credits:
        return InvalidValue("used_credits", f"must be from 0 to {plan.monthly_credits:,}, the credits of the plan")
    anchor_at = command.anchor_at or now
    if anchor_at > now:
        return InvalidValue("anchor_at", "must not be in the future")
    is_moved = command.anchor_at is not None
    return [
        SubscriptionStarted(
            account_id=command.account_id,
            plan=terms_of(plan),
            cycle=_period_at(now, anchor_at, 1),
            term=_period_at(now, anchor_at, MONTHS_PER_TERM[plan.billing_period]),
            test_clock_id=command.test_clock_id,
            anchor_at=command.anchor_at,
            started_at=now if is_moved else None,
        ),
        CreditsGranted(plan.monthly_credits, cycle_number=1, used_credits=command.used_credits),
    ]


def _period_at(now: datetime, anchor_at: datetime, months: int) -> Period:
    """Return the first period of a subscription: that of so many months from the anchor on in which it is now."""
    first = month_of(anchor_at, now) // months * months
    return Period(1, months_after(anchor_at, first), months_after(anchor_at, first + months))


def _charge(state: Subscription, command: ChargeGeneration, now: datetime, catalogue: Terms) -> Decision:
    quote = catalogue.quote(command.model, command.settings, now)
    if isinstance(quote, UnknownModel):
        return UnknownModelRefused(quote.model)
    if isinstance(quote, InvalidSettings):
        return InvalidSettingsRefused(quote.key, quote.reason)
    if (refusal := outside_the_plan(state, quote, catalogue)) is not None:
        return refusal
    if (refusal := too_few_credits(state, quote, catalogue)) is not None:
        return refusal
    return [
        GenerationCharged(
            generation_id=command.generation_id,
            model=quote.model,
            asset_type=quote.asset_type,
            settings=quote.settings,
            credits=quote.credits,
            price=quote.price,
            balance_after=state.balance_credits - quote.credits,
            cycle_number=state.cycle.number,
            member=command.member,
            alerts=crossed_alerts(state, state.available_credits - quote.credits, now, catalogue),
        )
    ]


def _upgrade(state: Subscription, command: UpgradePlan, now: datetime, catalogue: Terms) -> Decision:
    plan = catalogue.plan(command.plan_id)
    if plan is None:
        return UnknownPlan(command.plan_id)
    if plan.tier <= tier_of(state, catalogue):
        return NotAnUpgrade(command.plan_id)
    policy = catalogue.policy_for(plan)
    after = credits_after_upgrade(policy, state, plan.monthly_credits)
    if after.balance_credits < (held_credits := state.held_credits):
        return HoldsOutstanding(held_credits, after.balance_credits)
    cycle, term = _periods_from(now, plan, cycle_number=state.cycle.number + 1, term_number=state.term.number + 1)
    return [
        PlanUpgraded(
            from_plan_id=state.plan.plan_id,
            plan=terms_of(plan),
            policy=policy,
            balance_before=state.balance_credits,
            granted_credits=after.granted_credits,
            used_credits=after.used_credits,
            reversed_credits=after.reversed_credits,
            carried_credits=after.carried_credits,
            undeducted_credits=after.undeducted_credits,
            cycle=cycle,
            term=term,
            billing_reference=command.billing_reference,
        )
    ]


def _downgrade(state: Subscription, command: ScheduleDowngrade, catalogue: Terms) -> Decision:
    plan = catalogue.plan(command.plan_id)
    if plan is None:
        return UnknownPlan(command.plan_id)
    if plan.tier > tier_of(state, catalogue) or plan.plan_id == state.plan.plan_id:
        return NotADowngrade(command.plan_id)
    change = ScheduledChange("downgrade", state.term.ends_at, terms_of(plan))
    if change == state.scheduled_change:
        return []
    return [PlanChangeScheduled(terms_of(plan), state.term.ends_at)]


def _adopt(state: Subscription, command: AdoptTerms, catalogue: Terms) -> Decision:
    """Schedule the terms that the plan has now; a scheduled cancellation or downgrade stays as it is."""
    plan = catalogue.plan(command.plan_id)
    if plan is None:
        return UnknownPlan(command.plan_id)
    change, terms = state.scheduled_change, terms_of(plan)
    if state.plan.plan_id != plan.plan_id or (change is not None and not state.adopts_terms):
        return []
    agreed = state.plan if change is None else change.plan
    return [] if agreed == terms else [PlanChangeScheduled(terms, state.term.ends_at)]


def _cancel(state: Subscription, command: CancelSubscription, now: datetime) -> Decision:
    if command.when == "now":
        return [SubscriptionCancelled("now", now), SubscriptionEnded(now, state.available_credits, state.held_credits)]
    if state.status == "cancelling":
        return []
    return [SubscriptionCancelled("term_end", state.term.ends_at)]


def _reverse(state: Subscription, command: ReverseCharge) -> Decision:
    if command.credit_to == "original_cycle" and command.charged_in_cycle != state.cycle.number:
        return CycleClosed()
    is_deducted = command.charged_in_cycle < state.undeducted_before_cycle
    deducted_credits = min(command.credits, state.undeducted_credits) if is_deducted else 0
    return [
        ChargeReversed(
            generation_id=command.generation_id,
            dispute_id=command.dispute_id,
            credits=command.credits,
            credit_to=command.credit_to,
            cycle_number=state.cycle.number,
            balance_after=state.balance_credits + command.credits - deducted_credits,
            deducted_credits=deducted_credits,
        )
    ]


def _adjust(state: Subscription, command: AdjustCredits, now: datetime, catalogue: Terms) -> Decision:
    """Give or take the credits, once per run; what is not available cannot be taken."""
    if command.run_id in state.settled_runs:
        return []
    adjusted = max(command.credits, -state.available_credits)
    alerts = crossed_alerts(state, state.available_credits + adjusted, now, catalogue) if adjusted < 0 else ()
    cycle_number = state.cycle.number if alerts else None
    return [CreditsAdjusted(adjusted, command.run_id, command.reason, cycle_number, alerts)]


def _periods_from(anchor_at: datetime, plan: Plan, *, cycle_number: int, term_number: int) -> tuple[Period, Period]:
    """Return the cycle and the term that start at a new anchor."""
    cycle = Period(cycle_number, anchor_at, months_after(anchor_at, 1))
    term = Period(term_number, anchor_at, months_after(anchor_at, MONTHS_PER_TERM[plan.billing_period]))
    return cycle, term
