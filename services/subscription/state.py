"""Folds the events of a subscription into its state; every reader of history uses `evolve`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from services.catalogue.policies import restarts_undeducted
from services.subscription.calendar import END_OF_CALENDAR, MONTHS_PER_TERM, Period, month_of
from services.subscription.events import (
    AlertCrossed,
    AlertsChanged,
    ChangeKind,
    ChargeReversed,
    CreditsAdjusted,
    CreditsGranted,
    CreditsHeld,
    CycleReset,
    Event,
    GenerationCharged,
    HoldReleased,
    PlanChangeScheduled,
    PlanChangeUnscheduled,
    PlanTerms,
    PlanUpgraded,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionReinstated,
    SubscriptionStarted,
    SubscriptionSuspended,
    TermRenewed,
)

Status = Literal["active", "cancelling", "ended"]
ShownStatus = Literal["active", "cancelling", "suspended", "ended"]


class ScheduledChange(Struct, frozen=True, omit_defaults=True):
    """The one change that is scheduled for the end of the term."""

    kind: ChangeKind
    effective_at: datetime
    plan: PlanTerms | None = None


class MovedIn(Struct, frozen=True, omit_defaults=True):
    """What a subscription brought along at its start."""

    anchor_at: datetime | None = None
    used_credits: int = 0


class Subscription(Struct, frozen=True, gc=False, omit_defaults=True):
    """A subscription as its events leave it.

    `used_credits` and `reversed_credits` are those of the balance; an upgrade's policy may clear them, while
    `used_since_reset` and `reversed_since_reset` count on until the next reset, for the upgrade after it.
    """

    account_id: str
    first_plan_id: str
    plan: PlanTerms
    status: Status
    anchor_at: datetime
    started_at: datetime
    cycle: Period
    term: Period
    cycle_month: int
    """Months from the anchor to the start of the cycle."""
    term_end_month: int
    """Months from the anchor to the end of the term."""
    version: int
    granted_credits: int = 0
    carried_credits: int = 0
    used_credits: int = 0
    reversed_credits: int = 0
    used_since_reset: int = 0
    reversed_since_reset: int = 0
    undeducted_credits: int = 0
    """Used credits that an upgrade could not deduct, since its allowance was smaller. Reversals of charges made before
    it are set off against them, so that it makes no difference which of the two comes first."""
    undeducted_before_cycle: int = 0
    """The number of the cycle that this upgrade began."""
    scheduled_change: ScheduledChange | None = None
    is_suspended: bool = False
    moved_in: MovedIn | None = None
    test_clock_id: str | None = None
    alerts: tuple[str, ...] | None = None
    """The thresholds of its own; None where those of the catalogue hold."""
    crossed_alerts: tuple[AlertCrossed, ...] = ()
    """The thresholds that were crossed in this cycle."""
    holds: tuple[CreditsHeld, ...] = ()
    """The open holds, in the order in which they were made. An upgrade takes those of its cycle to the new one."""
    settled_runs: tuple[str, ...] = ()
    """The runs of a what-if whose differences were settled."""

    @property
    def shown_status(self) -> ShownStatus:
        """The status as callers see it: a suspension is shown over a cancellation, and the end over all."""
        return "suspended" if self.is_suspended and self.status != "ended" else self.status

    @property
    def adopts_terms(self) -> bool:
        """Whether what is scheduled are other terms of the plan that it has, and no cancellation or downgrade."""
        change = self.scheduled_change
        return change is not None and change.plan is not None and change.plan.plan_id == self.plan.plan_id

    @property
    def balance_credits(self) -> int:
        """The credits of this cycle that are not spent; some of them may be held."""
        return self.granted_credits - self.used_credits + self.reversed_credits

    @property
    def held_credits(self) -> int:
        """The credits of this cycle that are held."""
        return sum(hold.credits for hold in self.holds if self.is_current(hold)) if self.holds else 0

    @property
    def available_credits(self) -> int:
        """The credits that may still be spent or held in this cycle."""
        return self.balance_credits - self.held_credits

    def is_current(self, hold: CreditsHeld) -> bool:
        """Whether an open hold is of this cycle; an end closes the cycle as a reset does."""
        return hold.cycle_number == self.cycle.number and self.status != "ended"

    def hold_of(self, generation_id: str) -> CreditsHeld | None:
        """Return the open hold of a generation, if there is one."""
        return next((hold for hold in self.holds if hold.generation_id == generation_id), None)

    @property
    def is_last_cycle(self) -> bool:
        """Whether the subscription ends with this cycle."""
        return self.status == "cancelling" and self.cycle.ends_at == self.term.ends_at

    @property
    def credits_renew_at(self) -> datetime | None:
        """The instant at which credits are next granted anew; None once nothing will renew any more."""
        return None if self.is_last_cycle else self.cycle_boundary_at

    @property
    def cycle_boundary_at(self) -> datetime | None:
        """The instant at which the cycle ends; None once none will."""
        return None if self.status == "ended" or self.cycle.ends_at == END_OF_CALENDAR else self.cycle.ends_at

    @property
    def holds_expire_at(self) -> datetime | None:
        """The instant at which the first of the open holds expires; None where there are none."""
        return min(hold.expires_at for hold in self.holds) if self.holds else None

    @property
    def next_due_at(self) -> datetime | None:
        """The next instant at which time alone changes the subscription; None once it never will."""
        if not self.holds:
            return self.cycle_boundary_at
        return min(filter(None, (self.cycle_boundary_at, self.holds_expire_at)))


def evolve(state: Subscription | None, event: Event) -> Subscription:
    """Return the state after one event. It records the event and decides nothing. Raises ValueError without a start."""
    if isinstance(event, SubscriptionStarted):
        return _started(event)
    if state is None:
        raise ValueError(f"a history begins with SubscriptionStarted, not {type(event).__name__}")
    version = state.version + 1
    match event:
        case GenerationCharged():
            return _charged(state, event)
        case CreditsHeld():
            crossed_alerts = state.crossed_alerts + event.alerts
            return replace(state, version=version, holds=(*state.holds, event), crossed_alerts=crossed_alerts)
        case HoldReleased():
            return replace(state, version=version, holds=_without(state.holds, event.generation_id))
        case CycleReset():
            return _reset(state, event)
        case TermRenewed():
            return replace(
                state,
                version=version,
                plan=event.plan,
                term=event.term,
                term_end_month=state.term_end_month + MONTHS_PER_TERM[event.plan.billing_period],
                scheduled_change=None,
            )
        case PlanUpgraded():
            return _upgraded(state, event)
        case CreditsGranted():
            return _granted(state, event)
        case ChargeReversed():
            return replace(
                state,
                version=version,
                used_credits=state.used_credits + event.deducted_credits,
                reversed_credits=state.reversed_credits + event.credits,
                reversed_since_reset=state.reversed_since_reset + event.credits,
                undeducted_credits=state.undeducted_credits - event.deducted_credits,
            )
        case CreditsAdjusted():
            return _adjusted(state, event)
        case PlanChangeScheduled():
            change = ScheduledChange("downgrade", event.effective_at, event.plan)
            return replace(state, version=version, status="active", scheduled_change=change)
        case AlertsChanged():
            return replace(state, version=version, alerts=event.alerts)
        case PlanChangeUnscheduled():
            return replace(state, version=version, status="active", scheduled_change=None)
        case SubscriptionCancelled():
            change = ScheduledChange("cancel", event.effective_at)
            return replace(state, version=version, status="cancelling", scheduled_change=change)
        case SubscriptionSuspended() | SubscriptionReinstated():
            return replace(state, version=version, is_suspended=isinstance(event, SubscriptionSuspended))
        case SubscriptionEnded():
            return replace(_with_counters(state, granted=0), version=version, status="ended", scheduled_change=None)
        case _:
            assert_never(event)


def fold(events: Iterable[Event], state: Subscription | None = None) -> Subscription | None:
    """Return the state after all the events; None where there are none."""
    for event in events:
        state = evolve(state, event)
    return state


def _started(event: SubscriptionStarted) -> Subscription:
    anchor_at = event.anchor_at or event.cycle.starts_at
    return Subscription(
        account_id=event.account_id,
        first_plan_id=event.plan.plan_id,
        plan=event.plan,
        status="active",
        anchor_at=anchor_at,
        started_at=event.started_at or event.cycle.starts_at,
        cycle=event.cycle,
        term=event.term,
        cycle_month=month_of(anchor_at, event.cycle.starts_at),
        term_end_month=month_of(anchor_at, event.term.starts_at) + MONTHS_PER_TERM[event.plan.billing_period],
        version=1,
        moved_in=None if event.anchor_at is None else MovedIn(event.anchor_at),
        test_clock_id=event.test_clock_id,
    )


def _granted(state: Subscription, event: CreditsGranted) -> Subscription:
    used_credits = event.used_credits
    brought = state.moved_in or MovedIn()
    return replace(
        state,
        version=state.version + 1,
        granted_credits=state.granted_credits + event.credits,
        used_credits=state.used_credits + used_credits,
        used_since_reset=state.used_since_reset + used_credits,
        moved_in=replace(brought, used_credits=used_credits) if used_credits else state.moved_in,
    )


def _charged(state: Subscription, event: GenerationCharged) -> Subscription:
    used_credits = 0 if event.is_late else event.credits
    return replace(
        state,
        version=state.version + 1,
        used_credits=state.used_credits + used_credits,
        used_since_reset=state.used_since_reset + used_credits,
        holds=state.holds if event.held_credits is None else _without(state.holds, event.generation_id),
        crossed_alerts=state.crossed_alerts + event.alerts if event.alerts else state.crossed_alerts,
    )


def _adjusted(state: Subscription, event: CreditsAdjusted) -> Subscription:
    """Count what was given as given back, and what was taken as used."""
    given, taken = max(event.credits, 0), max(-event.credits, 0)
    return replace(
        state,
        version=state.version + 1,
        used_credits=state.used_credits + taken,
        used_since_reset=state.used_since_reset + taken,
        reversed_credits=state.reversed_credits + given,
        reversed_since_reset=state.reversed_since_reset + given,
        settled_runs=(*state.settled_runs, event.run_id),
        crossed_alerts=state.crossed_alerts + event.alerts,
    )


def _without(holds: tuple[CreditsHeld, ...], generation_id: str) -> tuple[CreditsHeld, ...]:
    return tuple(hold for hold in holds if hold.generation_id != generation_id)


def _reset(state: Subscription, event: CycleReset) -> Subscription:
    return replace(
        _with_counters(state, granted=event.granted_credits),
        version=state.version + 1,
        cycle=event.cycle,
        cycle_month=state.cycle_month + 1,
        used_since_reset=0,
        reversed_since_reset=0,
        undeducted_credits=0,
        undeducted_before_cycle=0,
    )


def _upgraded(state: Subscription, event: PlanUpgraded) -> Subscription:
    if not event.undeducted_credits:
        undeducted_before_cycle = 0
    elif restarts_undeducted(event.policy):
        undeducted_before_cycle = event.cycle.number
    else:
        undeducted_before_cycle = state.undeducted_before_cycle
    return replace(
        state,
        version=state.version + 1,
        plan=event.plan,
        status="active",
        anchor_at=event.cycle.starts_at,
        cycle=event.cycle,
        term=event.term,
        cycle_month=0,
        term_end_month=MONTHS_PER_TERM[event.plan.billing_period],
        granted_credits=event.granted_credits,
        carried_credits=event.carried_credits,
        used_credits=event.used_credits,
        reversed_credits=event.reversed_credits,
        undeducted_credits=event.undeducted_credits,
        undeducted_before_cycle=undeducted_before_cycle,
        scheduled_change=None,
        crossed_alerts=(),
        holds=tuple(
            replace(hold, cycle_number=event.cycle.number) if state.is_current(hold) else hold for hold in state.holds
        ),
    )


def _with_counters(state: Subscription, *, granted: int) -> Subscription:
    return replace(
        state, granted_credits=granted, carried_credits=0, used_credits=0, reversed_credits=0, crossed_alerts=()
    )
