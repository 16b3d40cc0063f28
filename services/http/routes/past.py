"""Show a subscription as it was, and replay its history with changes."""

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import Meta, Struct
from starlette.concurrency import run_in_threadpool

from services.http.audit_requests import WhatIfRequest
from services.http.calls import Auditor, Call
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import documented
from services.http.idempotency import answer_once
from services.http.instants import Instant
from services.http.paging import Count
from services.http.parameters import SubscriptionId
from services.http.patience import LONG_READ_SECONDS, Patience, TookTooLong
from services.http.problems import FieldError, InvalidRequest, NotStartedThen, Problem, Unavailable, invalid, require
from services.http.routing import TypedRoute
from services.http.server.exchange import WHAT_IF_BODY_LIMIT_BYTES
from services.http.server.reply import Reply, json_reply
from services.ledger.as_of import NotYetStarted, PastState, PastSubscription, StillToCome, UnknownVersion
from services.ledger.what_if import UnknownNames, WhatIfAnswer
from services.subscription.refusals import InvalidSettingsRefused, UnknownSubscription

router = APIRouter(tags=["Audit"], route_class=TypedRoute)

REPLAY_WAIT_SECONDS = 5.0


class AsOfQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The moment to show: an instant up to now, or a version. One of the two."""

    at: Annotated[Instant, Meta(description="As a read at this instant showed it.")] | None = None
    version: Annotated[Count, Meta(description="As the event of this version left it.", examples=[3])] | None = None


@router.get(
    "/v1/subscriptions/{subscription_id}/as-of",
    openapi_extra=documented({200: examples.PAST}, refusals=(UnknownSubscription, NotStartedThen)),
)
def show_as_of(
    call: Auditor, subscription_id: SubscriptionId, query: Annotated[AsOfQuery, Depends(QueryOf(AsOfQuery))]
) -> PastSubscription:
    """Show a subscription as it was, to the microsecond: `at` an instant, or at a `version`.

    At an instant it is what a read then showed, with every boundary applied that was due, recorded or not; of several
    events at that instant the last counts. At a version it is what that event left. `last_event` is the last that had
    been recorded. An instant is at most now, by the clock that the subscription lives by.
    """
    return read_past(call, subscription_id, query.at, query.version).view()


def read_past(call: Call, subscription_id: UUID, at: datetime | None, version: int | None) -> PastState:
    """Read the past at an instant or at a version. Raises Problem."""
    as_of = call.service.as_of
    with call.connection() as connection:
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
    return require(past, UnknownSubscription())


@router.post(
    "/v1/subscriptions/{subscription_id}/what-if",
    openapi_extra=documented(
        {200: examples.WHAT_IF},
        refusals=(UnknownSubscription, NotStartedThen, InvalidSettingsRefused),
        request=examples.WHAT_IF_REQUEST,
    ),
)
async def ask_what_if(
    call: Auditor,
    subscription_id: SubscriptionId,
    body: Annotated[WhatIfRequest, Depends(JsonBody(WhatIfRequest, limit_bytes=WHAT_IF_BODY_LIMIT_BYTES))],
) -> Reply[WhatIfAnswer]:
    """Replay the recorded history with changes, through the real rules; records nothing.

    Every recorded command, and every charge that was refused for want of credits, plan or subscription, is decided anew
    at its instant, on the plans and prices that it was recorded with. Without a change nothing differs. A charge that
    would then have been refused, and a refusal that would have been a charge, is among the `differences`; a running
    balance alone is none. `reprice` gives credits per unit. An inserted charge is priced by the rate card then in
    force, and comes after what was recorded at its instant. A generation that was neither charged nor refused by the
    end of the replay, and a model that no rate card and no charge has, are refused by their names. One replay computes
    at a time, for 20 seconds at most; who has waited for his turn for 5 seconds is told to come again (503).
    """
    replays = call.service.replays
    try:
        await asyncio.wait_for(replays.acquire(), REPLAY_WAIT_SECONDS)
    except TimeoutError:
        raise Problem(Unavailable()) from None
    try:
        return await run_in_threadpool(
            answer_once, call, body, lambda: json_reply(_replay(call, subscription_id, body))
        )
    finally:
        replays.release()


def _replay(call: Call, subscription_id: UUID, body: WhatIfRequest) -> WhatIfAnswer:
    with call.connection() as connection:
        until = body.until or require(call.service.as_of.now(connection, subscription_id), UnknownSubscription())
        for number, each in enumerate(body.insert_charges):
            if each.at > until:
                raise invalid(f"insert_charges.{number}.at", "must not be after the end of the replay")
        try:
            answer = call.service.what_if.replay(
                connection, subscription_id, body.changes(), until, on_step=Patience(call.exchange)
            )
        except TookTooLong:
            reason = f"the replay takes more than {LONG_READ_SECONDS:.0f} seconds: let it end earlier"
            raise invalid("until", reason) from None
        except NotYetStarted as not_yet:
            raise Problem(NotStartedThen(not_yet.started_at)) from None
        except StillToCome as wrong:
            raise invalid("until", str(wrong)) from None
        except UnknownNames as unknown:
            errors = tuple(FieldError(field, f"names {name}, which is not known here") for field, name in unknown.names)
            raise Problem(InvalidRequest(errors)) from None
    return require(answer, UnknownSubscription())
