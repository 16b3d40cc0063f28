"""Add up what was charged, by day, month, model and asset type."""

from datetime import UTC, date, time
from typing import Annotated, get_args
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends
from msgspec import Meta, field
from starlette.responses import StreamingResponse

from projections.usage.queries import UsageFilter, UsageQueries
from projections.usage.view import Usage, UsageGroup, UsageKey
from services.catalogue import AssetType
from services.http.calls import Auditor, Call, Reader
from services.http.decoding import QueryOf
from services.http.documentation import audit_examples, examples
from services.http.documentation.operations import Shown, documented
from services.http.exports import JSON, Accepted, Format, streamed
from services.http.instants import instant_of
from services.http.paging import Page, Paging
from services.http.parameters import SubscriptionId
from services.http.problems import invalid
from services.http.requests import Model
from services.http.routing import TypedRoute
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Charges"], route_class=TypedRoute)

KEYS: tuple[UsageKey, ...] = get_args(UsageKey)
SUMS = ("charges", "credits", "reversed_credits", "net_credits")

Day = Annotated[
    str, Meta(max_length=64, description="A day of UTC, or the instant at which it begins.", examples=["2026-02-01"])
]
GroupBy = Annotated[
    str,
    Meta(
        max_length=100,
        description="A comma list of `day` or `month`, `model`, `asset_type`. Without it, there is one row, the total.",
        examples=["month,model"],
    ),
]


class UsageQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which usage to add up, and by what: that on the days in `[from, to)`, and alike in the rest."""

    since: Day | None = field(name="from", default=None)
    until: Day | None = field(name="to", default=None)
    group_by: GroupBy = ""
    model: Model | None = None
    asset_type: AssetType | None = None

    def filter(self, subscription_id: UUID | None) -> UsageFilter:
        """Make the filter of the projection's query. Raises Problem."""
        since, until = _day("from", self.since), _day("to", self.until)
        return UsageFilter(subscription_id, since, until, self.model, self.asset_type)

    def keys(self) -> frozenset[UsageKey]:
        """Read `group_by`. Raises Problem."""
        names = self.group_by.split(",") if self.group_by else []
        keys = frozenset(key for key in KEYS if key in names)
        if len(keys) < len(names) or {"day", "month"} <= keys:
            raise invalid("group_by", "must be a comma list of day or month, model and asset_type, each once at most")
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

    Usage is counted by days of UTC. A reversal counts on its own day, under the model of its charge. Sums are a moment
    behind the charges: the projector makes them after the charge is answered.
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
    call: Auditor, query: Annotated[UsageQuery, Depends(QueryOf(UsageQuery))], form: Accepted
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
            return usage.sums(connection, usage_filter, keys, after=after, limit=limit)

    if form != JSON:
        columns = [*(key for key in KEYS if key in keys), *SUMS]
        name = "usage" if id is None else f"usage-{id}"
        return streamed(form, name, columns, query, fetch, lambda last: last.key)
    after = query.place(UsageGroup, None)
    return query.page(fetch(after, query.one_more), lambda last: last.key)


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
