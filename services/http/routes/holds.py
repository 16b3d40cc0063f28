"""Hold credits for a generation that takes a while, and capture or release them once it is known what came of it."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec.structs import replace

from projections.charges.view import Charge
from projections.declaration import MAX_POSITION
from projections.holds.queries import HoldQueries
from projections.holds.view import Hold, HoldStatus
from services.http.calls import Call, Charger, Reader
from services.http.commands import execute
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.paging import AtVersion, Page, Paging
from services.http.parameters import SubscriptionId
from services.http.problems import Problem, require
from services.http.reads import CurrentSubscription
from services.http.requests import GENERATION_ID, CaptureRequest, HoldRequest, MemberId, ReleaseRequest
from services.http.routing import HotRoute, TypedRoute
from services.http.server.reply import Reply
from services.ledger.history import hold_from_rows
from services.ledger.records import RecordedHold
from services.ledger.submission import GenerationHeld, GenerationIdConflict
from services.subscription.refusals import (
    CycleClosed,
    HoldExpired,
    HoldWasReleased,
    InsufficientCredits,
    InvalidSettingsRefused,
    NotInPlan,
    SubscriptionHasEnded,
    SubscriptionIsSuspended,
    TooManyHolds,
    UnknownHold,
    UnknownModelRefused,
    UnknownSubscription,
)

router = APIRouter(tags=["Holds"], route_class=TypedRoute)
hot = APIRouter(tags=["Holds"], route_class=HotRoute)

HOLDS = partial(HoldQueries[RecordedHold], read_hold=hold_from_rows)
"""The queries of holds: which there are is in the projection, what they were in their events."""


class HoldQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of a list of holds."""

    status: HoldStatus | None = None
    member: MemberId | None = None


@hot.post(
    "/v1/subscriptions/{subscription_id}/holds",
    openapi_extra=documented(
        {201: examples.HOLD, 200: Shown(examples.HOLD, headers=("Idempotent-Replayed",))},
        refusals=(
            UnknownSubscription,
            InsufficientCredits,
            NotInPlan,
            GenerationIdConflict,
            GenerationHeld,
            SubscriptionHasEnded,
            SubscriptionIsSuspended,
            TooManyHolds,
            UnknownModelRefused,
            InvalidSettingsRefused,
        ),
        request=examples.HOLD_REQUEST,
    ),
)
async def hold_credits(
    call: Charger, subscription_id: SubscriptionId, body: Annotated[HoldRequest, Depends(JsonBody(HoldRequest))]
) -> Reply[Hold]:
    """Hold the credits of a generation until it is captured or released, or the hold expires.

    It is decided like a charge: what is held can be spent by the capture alone. 201 when it is held. The same request
    again gives the hold as it is now, with 200 and `Idempotent-Replayed: true`; another request under the same
    `generation_id` is a conflict. A refusal holds nothing and leaves the id free.
    """
    return await execute(call, subscription_id, body.command(), body)


@router.get(
    "/v1/subscriptions/{subscription_id}/holds",
    openapi_extra=documented({200: examples.page_of(examples.HOLD)}, refusals=(UnknownSubscription,)),
)
def list_holds(
    call: Reader, subscription_id: SubscriptionId, query: Annotated[HoldQuery, Depends(QueryOf(HoldQuery))]
) -> Page[Hold]:
    """List the holds of a subscription, newest first."""
    current = _current(call, subscription_id)
    before = query.place(AtVersion, AtVersion(MAX_POSITION)).version
    with call.connection() as connection:
        found = call.queries(HOLDS).of_subscription(
            connection,
            subscription_id,
            status=query.status,
            member=query.member,
            now=current.now,
            before=before,
            limit=query.one_more,
        )
    return query.page([_view(each, current) for each in found], lambda last: AtVersion(last.version))


@router.get(
    "/v1/subscriptions/{subscription_id}/holds/{generation_id}",
    openapi_extra=documented({200: examples.HOLD}, refusals=(UnknownSubscription, UnknownHold)),
)
def get_hold(call: Reader, subscription_id: SubscriptionId, generation_id: str) -> Hold:
    """Show the hold of one generation; once it is captured, with its charge."""
    current = _current(call, subscription_id)
    _check_form(generation_id)
    with call.connection() as connection:
        found = call.queries(HOLDS).find(connection, subscription_id, generation_id)
    return _view(require(found, UnknownHold(generation_id)), current)


@hot.post(
    "/v1/subscriptions/{subscription_id}/holds/{generation_id}/capture",
    openapi_extra=documented(
        {201: examples.CAPTURE, 200: Shown(examples.CAPTURE, headers=("Idempotent-Replayed",))},
        refusals=(
            UnknownSubscription,
            UnknownHold,
            InsufficientCredits,
            GenerationIdConflict,
            HoldExpired,
            HoldWasReleased,
            CycleClosed,
            InvalidSettingsRefused,
        ),
        request=examples.CAPTURE_REQUEST,
    ),
)
async def capture_hold(
    call: Charger,
    subscription_id: SubscriptionId,
    generation_id: str,
    body: Annotated[CaptureRequest, Depends(JsonBody(CaptureRequest, may_be_empty=True))],
) -> Reply[Charge]:
    """Charge what is held for a generation: for the settings of the body, or as it was held.

    Priced by the rate card of the hold. Where it comes to less, the rest is free again; where it comes to more, the
    difference must be available, else the capture is refused and the hold stays. Once the cycle of the hold has ended,
    it can come to what was held at most, and is a charge of that cycle. The same capture again gives the same charge,
    with 200 and `Idempotent-Replayed: true`.
    """
    _check_form(generation_id)
    return await execute(call, subscription_id, body.command(generation_id), body)


@router.post(
    "/v1/subscriptions/{subscription_id}/holds/{generation_id}/release",
    openapi_extra=documented(
        {200: Shown(examples.RELEASED_HOLD, headers=("Idempotent-Replayed",))},
        refusals=(UnknownSubscription, UnknownHold, GenerationHeld, HoldExpired),
        request=examples.RELEASE_REQUEST,
    ),
)
async def release_hold(
    call: Charger,
    subscription_id: SubscriptionId,
    generation_id: str,
    body: Annotated[ReleaseRequest, Depends(JsonBody(ReleaseRequest, may_be_empty=True))],
) -> Reply[Hold]:
    """Set the credits that are held for a generation free. The id is spent. Releasing again changes nothing."""
    _check_form(generation_id)
    return await execute(call, subscription_id, body.command(generation_id), body)


def _current(call: Call, subscription_id: UUID) -> CurrentSubscription:
    return require(call.service.reads.subscription(subscription_id), UnknownSubscription())


def _check_form(generation_id: str) -> None:
    if not GENERATION_ID.fullmatch(generation_id):
        raise Problem(UnknownHold(generation_id))


def _view(hold: RecordedHold, current: CurrentSubscription) -> Hold:
    """Make the public form as of now; an upgrade may have taken an open hold along to another cycle."""
    held = current.state.hold_of(hold.event.generation_id)
    return (hold if held is None else replace(hold, cycle_number=held.cycle_number)).view(current.now)
