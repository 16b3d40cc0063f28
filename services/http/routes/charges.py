"""Charge generations and read what was charged."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Meta, field
from msgspec.structs import astuple
from starlette.responses import StreamingResponse

from projections.charges.queries import ChargeFilter, ChargeQueries
from projections.charges.view import Charge
from projections.cycles.queries import PlanQueries
from projections.declaration import MAX_POSITION
from projections.renewal.queries import RenewalQueries
from services.catalogue import AssetType
from services.http.calls import Auditor, Call, Charger, Reader
from services.http.commands import execute
from services.http.confinement import Confinement
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.exports import CSV, JSON, Accepted, streamed
from services.http.instants import Instant
from services.http.paging import AtPosition, AtVersion, Count, Page, Paging
from services.http.parameters import SubscriptionId
from services.http.problems import Problem, UnknownCharge
from services.http.requests import GENERATION_ID, ChargeRequest, GenerationId, MemberId, Model
from services.http.routing import HotRoute, TypedRoute
from services.http.server.reply import Reply
from services.ledger.history import charge_from_row
from services.ledger.submission import GenerationHeld, GenerationIdConflict
from services.subscription.refusals import (
    InsufficientCredits,
    InvalidSettingsRefused,
    NotInPlan,
    SubscriptionHasEnded,
    SubscriptionIsSuspended,
    UnknownModelRefused,
    UnknownSubscription,
)

router = APIRouter(tags=["Charges"], route_class=TypedRoute)
hot = APIRouter(tags=["Charges"], route_class=HotRoute)

CHARGE_COLUMNS = """
    position subscription_id version generation_id charged_at status asset_type model duration_seconds count resolution
    characters rate_card rule unit quantity credits_per_unit credits balance_before balance_after cycle_number
    account_id plan_id member held_credits reversed_credits reversed_at dispute_id
""".split()
"""The columns of charges in CSV. Settings and price are spread over columns of their own.

The account, and the plan that the subscription had at the charge, are in CSV alone.
"""

CHARGES = partial(ChargeQueries, read_charge=charge_from_row)
"""The queries of charges: which there are is in the projection, what they were in their events."""


class ChargeQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of a list of charges: charged in `[from, to)`, and equal in the rest."""

    since: Instant | None = field(name="from", default=None)
    until: Instant | None = field(name="to", default=None)
    model: Model | None = None
    asset_type: AssetType | None = None
    cycle: Annotated[Count, Meta(description="The number of a credit cycle.", examples=[1])] | None = None
    member: MemberId | None = None

    def filter(self) -> ChargeFilter:
        """Make the filter of the projection's query."""
        return ChargeFilter(self.since, self.until, self.model, self.asset_type, self.cycle, self.member)


class BookedCharge(Charge, frozen=True, kw_only=True):
    """A charge as it comes in CSV: with the account, and the plan that the subscription then had."""

    account_id: str
    plan_id: str


class LedgerChargeQuery(ChargeQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of a list of charges of all subscriptions."""

    generation_id: GenerationId | None = None


@hot.post(
    "/v1/subscriptions/{subscription_id}/charges",
    openapi_extra=documented(
        {201: examples.CHARGE, 200: Shown(examples.CHARGE, headers=("Idempotent-Replayed",))},
        refusals=(
            UnknownSubscription,
            InsufficientCredits,
            NotInPlan,
            GenerationIdConflict,
            GenerationHeld,
            SubscriptionHasEnded,
            SubscriptionIsSuspended,
            UnknownModelRefused,
            InvalidSettingsRefused,
        ),
        request=examples.CHARGE_REQUEST,
    ),
)
async def charge_generation(
    call: Charger, subscription_id: SubscriptionId, body: Annotated[ChargeRequest, Depends(JsonBody(ChargeRequest))]
) -> Reply[Charge]:
    """Charge a generation, once, durably, now.

    201 when it is charged. The same request again, at any time, gives the first charge with 200 and
    `Idempotent-Replayed: true`, and charges nothing; another request under the same `generation_id` is a conflict. A
    refusal charges nothing and leaves the id free. A setting left out stands for its default.
    """
    return await execute(call, subscription_id, body.command(), body)


@router.get(
    "/v1/subscriptions/{subscription_id}/charges",
    openapi_extra=documented(
        {200: Shown(examples.page_of(examples.CHARGE), streams=examples.CHARGE_STREAMS)},
        refusals=(UnknownSubscription,),
    ),
)
def list_charges(
    call: Reader,
    subscription_id: SubscriptionId,
    query: Annotated[ChargeQuery, Depends(QueryOf(ChargeQuery))],
    form: Accepted,
) -> Page[Charge] | StreamingResponse:
    """List the charges of a subscription, newest first; as CSV or NDJSON, all of them in one stream."""
    charges, filters = call.queries(CHARGES), query.filter()

    def fetch(before: int | None, limit: int) -> list[Charge]:
        below = MAX_POSITION if before is None else before
        with call.connection() as connection:
            rows = charges.of_subscription(connection, subscription_id, filters, before=below, limit=limit)
            if not rows:
                call.check_known(connection, subscription_id)
            return rows

    if form == CSV:
        booked = _booked(call, fetch)
        return streamed(form, f"charges-{subscription_id}", CHARGE_COLUMNS, query, booked, lambda last: last.version)
    if form != JSON:
        return streamed(form, f"charges-{subscription_id}", CHARGE_COLUMNS, query, fetch, lambda last: last.version)
    rows = fetch(query.place(AtVersion, AtVersion(MAX_POSITION)).version, query.one_more)
    return query.page(rows, lambda last: AtVersion(last.version))


@router.get(
    "/v1/subscriptions/{subscription_id}/charges/{generation_id}",
    openapi_extra=documented({200: examples.CHARGE}, refusals=(UnknownSubscription, UnknownCharge)),
)
def get_charge(call: Reader, subscription_id: SubscriptionId, generation_id: str) -> Charge:
    """Show the charge of one generation."""
    if not GENERATION_ID.fullmatch(generation_id):
        raise Problem(UnknownCharge(generation_id))
    with call.connection() as connection:
        charge = call.queries(CHARGES).find(connection, subscription_id, generation_id)
        if charge is None:
            call.check_known(connection, subscription_id)
            raise Problem(UnknownCharge(generation_id))
    return charge


@router.get(
    "/v1/charges",
    tags=["Audit"],
    openapi_extra=documented({200: Shown(examples.page_of(examples.CHARGE), streams=examples.CHARGE_STREAMS)}),
)
def list_all_charges(
    call: Annotated[Auditor, Confinement.BY_HANDLER],
    query: Annotated[LedgerChargeQuery, Depends(QueryOf(LedgerChargeQuery))],
    form: Accepted,
) -> Page[Charge] | StreamingResponse:
    """List the charges of all subscriptions, newest first; as CSV or NDJSON, all of them in one stream."""
    charges, filters, generation_id = call.queries(CHARGES), query.filter(), query.generation_id

    def fetch(before: int | None, limit: int) -> list[Charge]:
        below = MAX_POSITION if before is None else before
        with call.connection() as connection:
            within = call.own_subscriptions(connection)
            return charges.of_ledger(
                connection, filters, generation_id=generation_id, within=within, before=below, limit=limit
            )

    if form == CSV:
        return streamed(form, "charges", CHARGE_COLUMNS, query, _booked(call, fetch), lambda last: last.position)
    if form != JSON:
        return streamed(form, "charges", CHARGE_COLUMNS, query, fetch, lambda last: last.position)
    rows = fetch(query.place(AtPosition, AtPosition(MAX_POSITION)).position, query.one_more)
    return query.page(rows, lambda last: AtPosition(last.position))


def _booked(
    call: Call, fetch: Callable[[int | None, int], list[Charge]]
) -> Callable[[int | None, int], list[BookedCharge]]:
    """Add to the pages of charges that `fetch` reads what their rows in CSV have besides."""

    def fetch_booked(before: int | None, limit: int) -> list[BookedCharge]:
        charges = fetch(before, limit)
        if not charges:
            return []
        with call.connection() as connection:
            accounts = call.queries(RenewalQueries).accounts(connection, {each.subscription_id for each in charges})
            plans = call.queries(PlanQueries).at(
                connection,
                [(each.subscription_id, each.version) for each in charges],
                until=max(each.position for each in charges),
            )
        return [
            BookedCharge(*astuple(each), account_id=accounts[each.subscription_id], plan_id=plan_id or "")
            for each, plan_id in zip(charges, plans, strict=True)
        ]

    return fetch_booked
