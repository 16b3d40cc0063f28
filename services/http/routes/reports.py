"""Add up the books of all subscriptions: the trial balance, and what it is made of."""

import time
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import UNSET, Meta, Struct, field

from projections.movements.queries import Interval, MovementQueries, SubscriptionTotals
from projections.movements.view import SubscriptionBalance, TrialBalance
from services.http.calls import Auditor, Call
from services.http.decoding import QueryOf
from services.http.documentation import audit_examples, examples
from services.http.documentation.operations import documented
from services.http.instants import Instant
from services.http.paging import Count, Page, Paging
from services.http.problems import Problem, Unavailable, invalid
from services.http.routing import TypedRoute

router = APIRouter(tags=["Audit"], route_class=TypedRoute)

_CATCH_UP_SECONDS = 2.0
_PAUSE_SECONDS = 0.02

Since = Annotated[Instant, Meta(description="Only what was recorded at this instant or later.")]
Until = Annotated[Instant, Meta(description="Only what was recorded before this instant.")]
UpTo = Annotated[Count, Meta(description="Only events up to this position; by default, the last recorded.")]


class AsOfSubscription(Struct, frozen=True, array_like=True, tag=True):
    """A place in the list: a subscription, and the position that the whole list is as of."""

    position: Count
    subscription_id: UUID


class TrialBalanceQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The events that count: recorded in `[from, to)`, up to a position."""

    since: Since | None = field(name="from", default=None)
    until: Until | None = field(name="to", default=None)
    position: UpTo | None = None


class SubscriptionsQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The events that count: recorded in `[from, to)`, up to a position."""

    since: Since | None = field(name="from", default=None)
    until: Until | None = field(name="to", default=None)
    position: UpTo | None = None


@router.get("/v1/reports/trial-balance", openapi_extra=documented({200: audit_examples.TRIAL_BALANCE}))
def get_trial_balance(
    call: Auditor, query: Annotated[TrialBalanceQuery, Depends(QueryOf(TrialBalanceQuery))]
) -> TrialBalance:
    """Add up all subscriptions: every credit that was granted or given back is used, lapsed, held or left.

    `opening_credits` were held or left at `from`; `held_credits` and `left_credits` are so at `to`, held by all open
    holds, whatever their cycle. `sum_credits`, opening + granted + reversed - used - lapsed - held - left, is 0. What
    is due and not recorded yet does not count. `position` is that of the last event that counts; asked for with it, the
    same trial balance comes again.
    """
    _check(query.since, query.until)
    movements = call.queries(MovementQueries)
    position = _position(call, query.position)
    with call.connection() as connection:
        totals = movements.totals(connection, Interval(position, query.since, query.until))
    return TrialBalance(
        since=UNSET if query.since is None else query.since,
        until=UNSET if query.until is None else query.until,
        position=position,
        **totals._asdict(),
        sum_credits=totals.sum_credits,
    )


@router.get(
    "/v1/reports/trial-balance/subscriptions",
    openapi_extra=documented({200: examples.page_of(audit_examples.SUBSCRIPTION_BALANCE)}),
)
def list_trial_balance(
    call: Auditor, query: Annotated[SubscriptionsQuery, Depends(QueryOf(SubscriptionsQuery))]
) -> Page[SubscriptionBalance]:
    """List what each subscription contributes to the trial balance, in the order of their ids.

    Those that had nothing, and to which nothing happened, are left out. `events` leads to the events of the interval:
    they begin behind its `after_position`, and the last that counts is `last_position`.
    """
    _check(query.since, query.until)
    place = query.place(AsOfSubscription, None)
    after = AsOfSubscription(_position(call, query.position), UUID(int=0)) if place is None else place
    interval = Interval(after.position, query.since, query.until)
    with call.connection() as connection:
        found = call.queries(MovementQueries).by_subscription(
            connection, interval, after=after.subscription_id, limit=query.one_more
        )
    rows = [_row(each) for each in found]
    return query.page(rows, lambda last: AsOfSubscription(after.position, last.subscription_id))


def _row(each: SubscriptionTotals) -> SubscriptionBalance:
    events = f"/v1/events?subscription_id={each.subscription_id}"
    return SubscriptionBalance(
        subscription_id=each.subscription_id,
        **each.totals._asdict(),
        sum_credits=each.totals.sum_credits,
        events=UNSET if each.first_position is None else f"{events}&after_position={each.first_position - 1}",
        last_position=UNSET if each.last_position is None else each.last_position,
    )


def _check(since: datetime | None, until: datetime | None) -> None:
    """Raise Problem for an interval that ends before it begins."""
    if since is not None and until is not None and until < since:
        raise invalid("to", "must not be before `from`")


def _position(call: Call, asked_for: int | None) -> int:
    """Return the position up to which to add up, once the projector has come as far.

    It is a moment behind; where it does not come, the answer is as of where it stands, unless a position was asked for.
    Raises Problem.
    """
    movements, give_up_at = call.queries(MovementQueries), time.monotonic() + _CATCH_UP_SECONDS
    target = asked_for
    while True:
        with call.connection() as connection:
            reached = movements.reached(connection)
        if target is None:
            target = reached.last
        elif target > reached.last:
            raise invalid("position", f"must not be after the last event, which is {reached.last}")
        if reached.position >= target:
            return target
        if time.monotonic() > give_up_at or call.exchange.is_asker_gone:
            if asked_for is None:
                return reached.position
            raise Problem(Unavailable())
        time.sleep(_PAUSE_SECONDS)
