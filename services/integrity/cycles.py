"""Checks cycles, terms and grants: credits come with a start, a reset or an upgrade, as the plan has it. Pure."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from services.catalogue.policies import CreditsAfter, credits_after_upgrade
from services.subscription.calendar import MONTHS_PER_TERM, Period, month_of, months_after
from services.subscription.events import (
    CreditsGranted,
    CycleReset,
    Event,
    GenerationCharged,
    HoldReleased,
    PlanChangeScheduled,
    PlanTerms,
    PlanUpgraded,
    SubscriptionStarted,
    TermRenewed,
)
from services.subscription.state import Subscription


def broken_cycles(before: Subscription | None, event: Event, recorded_at: datetime) -> Iterator[str]:
    """Yield, in words, each statement about cycles, terms and grants that the state before does not bear out."""
    if isinstance(event, SubscriptionStarted):
        if before is not None:
            yield "starts a subscription that has started before"
        yield from _wrong_periods(event, 1, 1)
    if before is None:
        return
    if before.status == "ended" and not _may_follow_the_end(event):
        yield "comes after the end of its subscription"
    match event:
        case CreditsGranted():
            if before.version != 1:
                yield f"grants {event.credits} credits in mid-cycle: the allowance comes with a start, reset or upgrade"
            yield from differs("credits", event.credits, before.plan.monthly_credits)
        case CycleReset():
            yield from _wrong_reset(event, before, recorded_at)
        case PlanUpgraded():
            yield from _wrong_counters(event, before)
            yield from _wrong_periods(event, before.cycle.number + 1, before.term.number + 1)
        case TermRenewed():
            yield from _wrong_renewal(event, before)
        case PlanChangeScheduled():
            yield from differs("effective_at", event.effective_at, before.term.ends_at)
        case _:
            pass


def _may_follow_the_end(event: Event) -> bool:
    """Whether an event may come after the end: what becomes of a hold that was open then."""
    return isinstance(event, HoldReleased) or (isinstance(event, GenerationCharged) and event.held_credits is not None)


def _wrong_reset(event: CycleReset, before: Subscription, recorded_at: datetime) -> Iterator[str]:
    starts_at = before.cycle.ends_at
    ends_term = starts_at == before.term.ends_at
    plan = _next_plan(before) if ends_term else before.plan
    yield from differs("granted_credits", event.granted_credits, plan.monthly_credits)
    ends_at = months_after(before.anchor_at, before.cycle_month + 2)
    yield from differs("cycle", event.cycle, Period(before.cycle.number + 1, starts_at, ends_at))
    if recorded_at < starts_at:
        yield f"begins a cycle at {starts_at}, but was recorded before"


def _wrong_renewal(event: TermRenewed, before: Subscription) -> Iterator[str]:
    yield from differs("plan", event.plan, _next_plan(before))
    ends_at = months_after(before.anchor_at, before.term_end_month + MONTHS_PER_TERM[event.plan.billing_period])
    yield from differs("term", event.term, Period(before.term.number + 1, before.term.ends_at, ends_at))
    yield from differs("term.starts_at", event.term.starts_at, before.cycle.starts_at)


def _next_plan(before: Subscription) -> PlanTerms:
    change = before.scheduled_change
    return change.plan if change is not None and change.plan is not None else before.plan


def _wrong_counters(event: PlanUpgraded, before: Subscription) -> Iterator[str]:
    """Check what an upgrade leaves against its policy, which the event names."""
    computed = credits_after_upgrade(event.policy, before, event.plan.monthly_credits)
    for name in CreditsAfter.__struct_fields__:
        if name in event.__struct_fields__:
            yield from differs(name, getattr(event, name), getattr(computed, name))


def _wrong_periods(event: SubscriptionStarted | PlanUpgraded, cycle_number: int, term_number: int) -> Iterator[str]:
    """Check the first cycle and the first term from a new anchor, or from one that was brought along."""
    moved_at = event.started_at if isinstance(event, SubscriptionStarted) else None
    anchor_at = (event.anchor_at if isinstance(event, SubscriptionStarted) else None) or event.cycle.starts_at
    month = month_of(anchor_at, moved_at or anchor_at)
    for name, stated, number, months in (
        ("cycle", event.cycle, cycle_number, 1),
        ("term", event.term, term_number, MONTHS_PER_TERM[event.plan.billing_period]),
    ):
        first = month // months * months
        expected = Period(number, months_after(anchor_at, first), months_after(anchor_at, first + months))
        yield from differs(name, stated, expected)


def differs(name: str, stated: object, computed: object) -> Iterator[str]:
    """Yield what is wrong with the stated value of a field, unless it is the computed one."""
    if stated != computed:
        yield f"says {name} {_shown(stated)}, but it comes to {_shown(computed)}"


def _shown(value: object) -> str:
    """The value as an event has it."""
    return msgspec.json.encode(value).decode() if isinstance(value, msgspec.Struct) else str(value)
