"""The past of a subscription: as it was, and as it would have been."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import Meta, Struct
from starlette.responses import Response

from services.http.audit_requests import WhatIfRequest
from services.http.calls import Auditor, Call
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.once import answered_once
from services.http.paging import Count
from services.http.parameters import SubscriptionId
from services.http.problems import NotStartedThen, Problem, invalid
from services.http.requests import Instant
from services.http.server.reply import Reply, encode, json_response
from services.ledger.as_of import NotYetStarted, PastState, PastSubscription, StillToCome, UnknownVersion
from services.ledger.what_if import WhatIfAnswer
from services.subscription.refusals import UnknownSubscription

router = APIRouter(tags=["Audit"])


class AsOfWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """Which moment to show: an instant up to now, or a version. One of the two."""

    at: Annotated[Instant, Meta(description="As a read at this instant showed it.")] | None = None
    version: Annotated[Count, Meta(description="As the event of this version left it.", examples=[3])] | None = None


@router.get(
    "/v1/subscriptions/{subscription_id}/as-of",
    openapi_extra=documented(
        {200: Shown(PastSubscription, examples.PAST)}, refusals=(UnknownSubscription, NotStartedThen)
    ),
)
def show_as_of(
    call: Auditor, subscription_id: SubscriptionId, wanted: Annotated[AsOfWanted, Depends(QueryOf(AsOfWanted))]
) -> Response:
    """Show a subscription as it was, to the microsecond: `at` an instant, or at a `version`.

    At an instant it is what a read then showed, with every boundary applied that was due, recorded or not; of several
    events at that instant the last counts. At a version it is what that event left. `last_event` is the last that had
    been recorded. An instant is at most now, by the clock that the subscription lives by.
    """
    past = read_past(call, subscription_id, wanted.at, wanted.version)
    return json_response(past.view())


def read_past(call: Call, subscription_id: UUID, at: datetime | None, version: int | None) -> PastState:
    """The past at an instant or at a version. Raises Problem."""
    as_of = call.service.as_of
    with call.service.backend.reads.connection() as connection:
        try:
            if at is not None and version is None:
                past = as_of.at_instant(connection, subscription_id, at)
            elif version is not None and at is None:
                past = as_of.at_version(connection, subscription_id, version)
            else:
                raise invalid("at", "give either at or version")
        except NotYetStarted as not_yet:
            raise Problem(NotStartedThen(not_yet.started_at)) from None
        except StillToCome as wrong:
            raise invalid("at", str(wrong)) from None
        except UnknownVersion as wrong:
            raise invalid("version", f"must be from 1 to {wrong.newest}") from None
    if past is None:
        raise Problem(UnknownSubscription())
    return past


@router.post(
    "/v1/subscriptions/{subscription_id}/what-if",
    openapi_extra=documented(
        {200: Shown(WhatIfAnswer, examples.WHAT_IF)},
        refusals=(UnknownSubscription, NotStartedThen),
        request=examples.WHAT_IF_REQUEST,
    ),
)
def ask_what_if(
    call: Auditor, subscription_id: SubscriptionId, wanted: Annotated[WhatIfRequest, Depends(JsonBody(WhatIfRequest))]
) -> Response:
    """Replay the recorded history with changes, through the real rules; records nothing.

    Every recorded command, and every charge that was refused for want of credits, plan or subscription, is decided anew
    at its instant, on the plans and prices that it was recorded with. Without a change nothing differs. A charge that
    would then have been refused, and a refusal that would have been a charge, is among the `differences`; a running
    balance alone is none. `reprice` gives credits per unit. An inserted charge is priced by the rate card then in
    force, and comes after what was recorded at its instant.
    """
    return answered_once(call, wanted, lambda: Reply(200, encode(_replayed(call, subscription_id, wanted)))).response()


def _replayed(call: Call, subscription_id: UUID, wanted: WhatIfRequest) -> WhatIfAnswer:
    with call.service.backend.reads.connection() as connection:
        until = wanted.until or call.service.as_of.now(connection, subscription_id)
        if until is None:
            raise Problem(UnknownSubscription())
        for number, each in enumerate(wanted.insert_charges):
            if each.at > until:
                raise invalid(f"insert_charges.{number}.at", "must not be after the end of the replay")
        try:
            answer = call.service.what_if.replay(connection, subscription_id, wanted.changes(), until)
        except NotYetStarted as not_yet:
            raise Problem(NotStartedThen(not_yet.started_at)) from None
        except StillToCome as wrong:
            raise invalid("until", str(wrong)) from None
    if answer is None:
        raise Problem(UnknownSubscription())
    return answer
