"""The public forms of a subscription and of its renewals, as the API answers them."""

from datetime import datetime
from itertools import islice
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET, Struct, UnsetType, convert

from services.catalogue.model import AssetType, BillingPeriod
from services.subscription import state as core
from services.subscription.boundaries import Boundary, boundaries
from services.subscription.calendar import Period
from services.subscription.events import ChangeKind, CycleReset, HoldReleased, PlanTerms, SubscriptionEnded, TermRenewed

UPCOMING = 12


class SubscribedPlan(Struct, frozen=True):
    """The plan as it was agreed."""

    plan_id: str
    name: str
    tier: int
    monthly_credits: int
    billing_period: BillingPeriod
    asset_types: tuple[AssetType, ...]


ShownChange = ChangeKind | Literal["terms"]


class ScheduledChangeView(Struct, frozen=True):
    """The one change that waits for the end of the term; a downgrade names its plan, `terms` the one that it has."""

    kind: ShownChange
    effective_at: datetime
    plan_id: str | UnsetType = UNSET


class SubscriptionView(Struct, frozen=True):
    """A subscription now; `version` is that of its last recorded event."""

    subscription_id: UUID
    account_id: str
    status: core.ShownStatus
    plan: SubscribedPlan
    started_at: datetime
    anchor_at: datetime
    cycle: Period
    term: Period
    scheduled_change: ScheduledChangeView | None
    version: int
    test_clock_id: str | UnsetType = UNSET
    alerts: tuple[str, ...] | UnsetType = UNSET
    """The thresholds of its own, where it has some."""


class UpcomingBoundary(Struct, frozen=True):
    """What time alone will bring at one instant, and the credits granted then."""

    at: datetime
    kind: Literal["cycle_reset", "term_renewal", "ends"]
    credits: int
    at_local: datetime | UnsetType = UNSET


class Renewal(Struct, frozen=True):
    """When credits and subscription renew; the `_local` instants are there where a time zone was asked for.

    `credits_at_renewal` is what will be granted at `credits_renew_at`, 0 where nothing renews any more;
    `lapsing_credits` is what of the balance now would be left, and lapse, when the cycle ends: without what holds keep
    that last as long.
    """

    subscription_id: UUID
    billing_period: BillingPeriod
    credits_renew_at: datetime | None
    subscription_renews_at: datetime | None
    credits_at_renewal: int
    lapsing_credits: int
    upcoming: list[UpcomingBoundary]
    tz: str | UnsetType = UNSET
    credits_renew_at_local: datetime | UnsetType | None = UNSET
    subscription_renews_at_local: datetime | UnsetType | None = UNSET


def subscribed_plan(plan: PlanTerms) -> SubscribedPlan:
    """The plan without its price."""
    return convert(plan, SubscribedPlan, from_attributes=True)


def subscription_view(subscription_id: UUID, state: core.Subscription, version: int) -> SubscriptionView:
    """Make the public form of a state at `version`."""
    change = state.scheduled_change
    return SubscriptionView(
        subscription_id=subscription_id,
        account_id=state.account_id,
        status=state.shown_status,
        plan=subscribed_plan(state.plan),
        started_at=state.started_at,
        anchor_at=state.anchor_at,
        cycle=state.cycle,
        term=state.term,
        scheduled_change=None if change is None else _change_view(change, adopts_terms=state.adopts_terms),
        version=version,
        test_clock_id=UNSET if state.test_clock_id is None else state.test_clock_id,
        alerts=UNSET if state.alerts is None else state.alerts,
    )


def renewal_view(subscription_id: UUID, state: core.Subscription, tz: ZoneInfo | None = None) -> Renewal:
    """The next twelve ends of cycles of a state that has every due boundary applied."""
    ahead = list(islice(filter(_ends_a_cycle, boundaries(state)), UPCOMING))
    credits_renew_at = state.credits_renew_at
    subscription_renews_at = state.term.ends_at if state.status == "active" else None
    return Renewal(
        subscription_id=subscription_id,
        billing_period=state.plan.billing_period,
        credits_renew_at=credits_renew_at,
        subscription_renews_at=subscription_renews_at,
        credits_at_renewal=_granted(ahead[0]) if ahead else 0,
        lapsing_credits=state.balance_credits - _held_over(state),
        upcoming=[_upcoming(boundary, tz) for boundary in ahead],
        tz=UNSET if tz is None else tz.key,
        credits_renew_at_local=UNSET if tz is None else _in_zone(credits_renew_at, tz),
        subscription_renews_at_local=UNSET if tz is None else _in_zone(subscription_renews_at, tz),
    )


def _ends_a_cycle(boundary: Boundary) -> bool:
    return any(not isinstance(event, HoldReleased) for event in boundary.events)


def _held_over(state: core.Subscription) -> int:
    """Add up what the holds of this cycle keep beyond its end."""
    ends_at = state.cycle.ends_at
    return sum(hold.credits for hold in state.holds if state.is_current(hold) and hold.expires_at >= ends_at)


def _change_view(change: core.ScheduledChange, *, adopts_terms: bool) -> ScheduledChangeView:
    plan_id = UNSET if change.plan is None else change.plan.plan_id
    kind: ShownChange = "terms" if adopts_terms else change.kind
    return ScheduledChangeView(kind=kind, effective_at=change.effective_at, plan_id=plan_id)


def _upcoming(boundary: Boundary, tz: ZoneInfo | None) -> UpcomingBoundary:
    kinds = {type(event) for event in boundary.events}
    return UpcomingBoundary(
        at=boundary.at,
        kind="ends" if SubscriptionEnded in kinds else "term_renewal" if TermRenewed in kinds else "cycle_reset",
        credits=_granted(boundary),
        at_local=UNSET if tz is None else boundary.at.astimezone(tz),
    )


def _granted(boundary: Boundary) -> int:
    return sum(event.granted_credits for event in boundary.events if isinstance(event, CycleReset))


def _in_zone(at: datetime | None, tz: ZoneInfo) -> datetime | None:
    return None if at is None else at.astimezone(tz)
