"""Computes the boundaries that time alone brings: resets of credits, renewals of terms, ends, expiries of holds.

`boundaries` is the whole future of a subscription that gets no command. The part of it that is due is recorded
before any command is decided, and applied to every read.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from services.subscription.calendar import END_OF_CALENDAR, MONTHS_PER_TERM, Period, months_after
from services.subscription.events import CycleReset, Event, PlanTerms, SubscriptionEnded, TermRenewed
from services.subscription.holds import expiries
from services.subscription.state import Subscription, evolve


class Boundary(Struct, frozen=True):
    """The events of one instant, and the state after them."""

    at: datetime
    events: tuple[Event, ...]
    state: Subscription


def boundaries(state: Subscription, until: datetime = END_OF_CALENDAR) -> Iterator[Boundary]:
    """Yield every boundary after the state, in order, up to and at `until`; fewer where the subscription ends."""
    while (at := state.next_due_at) is not None and at <= until:
        events = _events_at(state, at)
        for event in events:
            state = evolve(state, event)
        yield Boundary(at, events, state)


def due_events(state: Subscription, now: datetime, at_most: int | None = None) -> list[Event]:
    """List the events of boundaries that are due and not recorded, oldest first, of `at_most` boundaries."""
    if (at := state.next_due_at) is None or at > now:
        return []
    return [event for boundary in islice(boundaries(state, now), at_most) for event in boundary.events]


def as_of(state: Subscription, now: datetime) -> Subscription:
    """Return the state with every boundary that is due by now applied, recorded or not."""
    for boundary in boundaries(state, now):
        state = boundary.state
    return state


def as_read(recorded: Subscription, now: datetime) -> Subscription:
    """Return what a read shows: the state as of now, with the version of the last event that is recorded."""
    state = as_of(recorded, now)
    return state if state is recorded else replace(state, version=recorded.version)


def _events_at(state: Subscription, at: datetime) -> tuple[Event, ...]:
    """Return what falls due at an instant: first the cycle's boundary, then expiries in the order of the holds."""
    of_cycle = _cycle_events_at(state, at) if at == state.cycle_boundary_at else ()
    if not state.holds:
        return of_cycle
    for event in of_cycle:
        state = evolve(state, event)
    return (*of_cycle, *expiries(state, at))


def _cycle_events_at(state: Subscription, at: datetime) -> tuple[Event, ...]:
    ends_term = at == state.term.ends_at
    lapsed_credits, held_credits = state.available_credits, state.held_credits
    if state.is_last_cycle:
        return (SubscriptionEnded(ended_at=at, lapsed_credits=lapsed_credits, held_credits=held_credits),)
    plan = _next_plan(state) if ends_term else state.plan
    reset = CycleReset(
        cycle=Period(state.cycle.number + 1, at, months_after(state.anchor_at, state.cycle_month + 2)),
        granted_credits=plan.monthly_credits,
        lapsed_credits=lapsed_credits,
        held_credits=held_credits,
    )
    return (reset, _renewal(state, plan, at)) if ends_term else (reset,)


def _next_plan(state: Subscription) -> PlanTerms:
    change = state.scheduled_change
    return change.plan if change is not None and change.plan is not None else state.plan


def _renewal(state: Subscription, plan: PlanTerms, at: datetime) -> TermRenewed:
    ends_at = months_after(state.anchor_at, state.term_end_month + MONTHS_PER_TERM[plan.billing_period])
    return TermRenewed(term=Period(state.term.number + 1, at, ends_at), plan=plan)
