"""Charge generations and read what was charged."""

from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Meta, field
from starlette.responses import Response

from projections.charges.queries import ChargeFilter
from projections.charges.view import Charge
from services.catalogue import AssetType
from services.http.calls import Auditor, Charger, Reader
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.exports import JSON, Accepted, streamed
from services.http.paging import BIGGEST, AtPosition, AtVersion, Count, Page, Paging
from services.http.parameters import SubscriptionId
from services.http.problems import Problem, UnknownCharge
from services.http.requests import GENERATION_ID, ChargeRequest, GenerationId, Instant, Model
from services.http.server.reply import json_response
from services.ledger.submission import GenerationIdConflict
from services.subscription.refusals import (
    InsufficientCredits,
    InvalidSettingsRefused,
    NotInPlan,
    SubscriptionHasEnded,
    UnknownModelRefused,
    UnknownSubscription,
)

router = APIRouter(tags=["Charges"])

CHARGE_COLUMNS = """
    position subscription_id version generation_id charged_at status asset_type model duration_seconds count resolution
    characters rate_card rule unit quantity credits_per_unit credits balance_before balance_after cycle_number
""".split()
"""The columns of charges in CSV; settings and price are spread over theirs."""


class ChargesWanted(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which charges to list: those charged in `[from, to)`, and alike in the rest."""

    since: Instant | None = field(name="from", default=None)
    until: Instant | None = field(name="to", default=None)
    model: Model | None = None
    asset_type: AssetType | None = None
    cycle: Annotated[Count, Meta(description="The number of a credit cycle.", examples=[1])] | None = None

    def filter(self) -> ChargeFilter:
        """The same for the query."""
        return ChargeFilter(self.since, self.until, self.model, self.asset_type, self.cycle)


class AllChargesWanted(ChargesWanted, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which charges to list, of all subscriptions."""

    generation_id: GenerationId | None = None


@router.post(
    "/v1/subscriptions/{subscription_id}/charges",
    openapi_extra=documented(
        {201: Shown(Charge, examples.CHARGE), 200: Shown(Charge, examples.CHARGE, headers=("Idempotent-Replayed",))},
        refusals=(
            UnknownSubscription,
            InsufficientCredits,
            NotInPlan,
            GenerationIdConflict,
            SubscriptionHasEnded,
            UnknownModelRefused,
            InvalidSettingsRefused,
        ),
        request=examples.CHARGE_REQUEST,
    ),
)
async def charge_generation(
    call: Charger, subscription_id: SubscriptionId, wanted: Annotated[ChargeRequest, Depends(JsonBody(ChargeRequest))]
) -> Response:
    """Charge a generation, once, durably, now.

    201 when it is charged. The same request again, at any time, gives the first charge with 200 and
    `Idempotent-Replayed: true`, and charges nothing; another request under the same `generation_id` is a conflict. A
    refusal charges nothing and leaves the id free. A setting left out stands for its default.
    """
    reply = await call.service.charging.charge(subscription_id, wanted, call.exchange, call.key)
    return reply.response()


@router.get(
    "/v1/subscriptions/{subscription_id}/charges",
    openapi_extra=documented(
        {200: Shown(Page[Charge], examples.page_of(examples.CHARGE), streams=examples.CHARGE_STREAMS)},
        refusals=(UnknownSubscription,),
    ),
)
def list_charges(
    call: Reader,
    subscription_id: SubscriptionId,
    wanted: Annotated[ChargesWanted, Depends(QueryOf(ChargesWanted))],
    form: Accepted,
) -> Response:
    """List the charges of a subscription, newest first; as CSV or NDJSON, all of them in one stream."""
    reads, of = call.service.reads, wanted.filter()

    def fetch(before: int | None, limit: int) -> list[Charge]:
        return reads.charges(subscription_id, of, before=BIGGEST if before is None else before, limit=limit)

    if form != JSON:
        return streamed(form, f"charges-{subscription_id}", CHARGE_COLUMNS, wanted, fetch, lambda last: last.version)
    found = fetch(wanted.place(AtVersion, AtVersion(BIGGEST)).version, wanted.one_more)
    return wanted.page(found, lambda last: AtVersion(last.version))


@router.get(
    "/v1/subscriptions/{subscription_id}/charges/{generation_id}",
    openapi_extra=documented({200: Shown(Charge, examples.CHARGE)}, refusals=(UnknownSubscription, UnknownCharge)),
)
def get_charge(call: Reader, subscription_id: SubscriptionId, generation_id: str) -> Response:
    """Show the charge of one generation."""
    if not GENERATION_ID.fullmatch(generation_id):
        raise Problem(UnknownCharge(generation_id))
    return json_response(call.service.reads.charge(subscription_id, generation_id))


@router.get(
    "/v1/charges",
    tags=["Audit"],
    openapi_extra=documented(
        {200: Shown(Page[Charge], examples.page_of(examples.CHARGE), streams=examples.CHARGE_STREAMS)}
    ),
)
def list_all_charges(
    call: Auditor, wanted: Annotated[AllChargesWanted, Depends(QueryOf(AllChargesWanted))], form: Accepted
) -> Response:
    """List the charges of all subscriptions, newest first; as CSV or NDJSON, all of them in one stream."""
    reads, of, generation_id = call.service.reads, wanted.filter(), wanted.generation_id

    def fetch(before: int | None, limit: int) -> list[Charge]:
        below = BIGGEST if before is None else before
        return reads.all_charges(of, generation_id=generation_id, before=below, limit=limit)

    if form != JSON:
        return streamed(form, "charges", CHARGE_COLUMNS, wanted, fetch, lambda last: last.position)
    found = fetch(wanted.place(AtPosition, AtPosition(BIGGEST)).position, wanted.one_more)
    return wanted.page(found, lambda last: AtPosition(last.position))
