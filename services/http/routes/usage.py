"""Add up what was charged, by day, month or cycle, model, asset type, member, account and plan."""

from datetime import UTC, date, time
from typing import Annotated, get_args
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends
from msgspec import Meta, field
from msgspec.structs import replace
from starlette.responses import StreamingResponse

from projections.usage.queries import UsageFilter, UsageQueries
from projections.usage.view import PERIODS, Usage, UsageGroup, UsageKey, group_of
from services.catalogue import AssetType
from services.http.calls import Auditor, Call, Reader
from services.http.confinement import Confinement
from services.http.decoding import QueryOf
from services.http.documentation import audit_examples, examples
from services.http.documentation.operations import Shown, documented
from services.http.exports import JSON, Accepted, Format, streamed
from services.http.instants import instant_of
from services.http.paging import Count, Page, Paging
from services.http.parameters import SubscriptionId
from services.http.problems import invalid
from services.http.requests import AccountId, MemberId, Model, PlanId
from services.http.routing import TypedRoute
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Charges"], route_class=TypedRoute)

KEYS: tuple[UsageKey, ...] = get_args(UsageKey)
SUMS = ("charges", "credits", "reversed_credits", "net_credits")

Day = Annotated[
    str, Meta(max_length=64, description="A day of UTC, or the instant at which it begins.", examples=["2026-02-01"])
]
Month = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])\Z", description="A month of UTC.", examples=["2026-02"])
]
GroupBy = Annotated[
    str,
    Meta(
        max_length=100,
        description=(
            "A comma list of `day`, `month` or `cycle`, `model`, `asset_type`, `member`, `account_id` (or `account`), "
            "`plan_id` (or `plan`). Without it, there is one row, the total."
        ),
        examples=["month,model"],
    ),
]
_SHORT_NAMES = {"account": "account_id", "plan": "plan_id"}


class UsageQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which usage to add up, and by what: that on the days in `[from, to)`, and alike in the rest."""

    since: Day | None = field(name="from", default=None)
    until: Day | None = field(name="to", default=None)
    group_by: GroupBy = ""
    day: Day | None = None
    month: Month | None = None
    cycle: Annotated[Count, Meta(description="The number of a credit cycle.", examples=[1])] | None = None
    model: Model | None = None
    asset_type: AssetType | None = None
    member: MemberId | None = None
    account_id: AccountId | None = None
    account: Annotated[AccountId, Meta(description="The same as `account_id`.")] | None = None
    plan_id: PlanId | None = None
    plan: Annotated[PlanId, Meta(description="The same as `plan_id`.")] | None = None

    def filter(self, subscription_id: UUID | None) -> UsageFilter:
        """Make the filter of the projection's query. Raises Problem."""
        return UsageFilter(
            subscription_id,
            since=_day("from", self.since),
            until=_day("to", self.until),
            day=_day("day", self.day),
            month=self.month,
            cycle=self.cycle,
            model=self.model,
            asset_type=self.asset_type,
            member=self.member,
            account_id=_either("account", self.account, self.account_id),
            plan_id=_either("plan", self.plan, self.plan_id),
        )

    def keys(self) -> frozenset[UsageKey]:
        """Read `group_by`. Raises Problem."""
        names = [_SHORT_NAMES.get(name, name) for name in self.group_by.split(",")] if self.group_by else []
        keys = frozenset(key for key in KEYS if key in names)
        if len(keys) < len(names) or len(keys & PERIODS) > 1:
            others = ", ".join(key for key in KEYS if key not in PERIODS)
            raise invalid(
                "group_by", f"must be a comma list of one of day, month and cycle, and {others}, each once at most"
            )
        return keys


@router.get(
    "/v1/subscriptions/{subscription_id}/usage",
    openapi_extra=documented(
        {200: Shown(examples.page_of(audit_examples.USAGE), streams=audit_examples.USAGE_STREAMS)},
        refusals=(UnknownSubscription,),
    ),
)
def get_usage(
    call: Reader,
    subscription_id: SubscriptionId,
    query: Annotated[UsageQuery, Depends(QueryOf(UsageQuery))],
    form: Accepted,
) -> Page[Usage] | StreamingResponse:
    """Add up what a subscription was charged, in the order of `group_by`; as CSV or NDJSON, all of it in one stream.

    Usage is counted by days of UTC. A charge counts in the cycle that it belongs to, a reversal on the day and in the
    cycle in which it was given back, under the model, the asset type and the member of its charge; the plan is the
    one at that event. What a subscription that moved in had used before does not count. Sums are a moment behind the
    charges: the projector makes them after the charge is answered.
    """
    return _usage(call, query, form, subscription_id)


@router.get(
    "/v1/usage",
    tags=["Audit"],
    openapi_extra=documented(
        {200: Shown(examples.page_of(audit_examples.USAGE), streams=audit_examples.USAGE_STREAMS)}
    ),
)
def get_total_usage(
    call: Annotated[Auditor, Confinement.BY_HANDLER],
    query: Annotated[UsageQuery, Depends(QueryOf(UsageQuery))],
    form: Accepted,
) -> Page[Usage] | StreamingResponse:
    """Add up what all subscriptions were charged; as CSV or NDJSON, all of it in one stream.

    Usage is counted as for one subscription, and is as far behind the charges.
    """
    return _usage(call, query, form, None)


def _usage(call: Call, query: UsageQuery, form: Format, id: UUID | None) -> Page[Usage] | StreamingResponse:
    usage, usage_filter, keys = call.queries(UsageQueries), query.filter(id), query.keys()

    def fetch(after: UsageGroup | None, limit: int) -> list[Usage]:
        with call.connection() as connection:
            if id is not None and after is None:
                call.check_known(connection, id)
            within = call.own_subscriptions(connection) if id is None else None
            return usage.sums(connection, replace(usage_filter, within=within), keys, after=after, limit=limit)

    if form != JSON:
        columns = [*(key for key in KEYS if key in keys), *SUMS]
        name = "usage" if id is None else f"usage-{id}"
        return streamed(form, name, columns, query, fetch, group_of)
    after = query.place(UsageGroup, None)
    return query.page(fetch(after, query.one_more), group_of)


def _either(name: str, short: str | None, full: str | None) -> str | None:
    if short is not None and full is not None and short != full:
        raise invalid(name, f"is the same as {name}_id, and they differ")
    return full if short is None else short


def _day(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return msgspec.convert(text, date)
    except msgspec.ValidationError:
        pass
    try:
        at = instant_of(text).astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    if at is None or at.time() != time.min:
        raise invalid(name, "must be a day of UTC, or the instant at which it begins: usage is counted by the day")
    return at.date()
