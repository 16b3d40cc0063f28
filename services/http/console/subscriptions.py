"""A subscription at any instant, with its events; a charge or a hold of it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from psycopg import Connection
from starlette.responses import Response

from projections.charges.queries import ChargeFilter
from projections.charges.view import Charge
from projections.declaration import MAX_POSITION
from services.dispute.refusals import UnknownCharge
from services.evidence.report import arithmetic
from services.http.audit_requests import OpenDisputeRequest
from services.http.commands import execute
from services.http.console.course import Point, chart_of, course_of
from services.http.console.pages import Visit, page, redirect
from services.http.console.sentences import sentence_of
from services.http.instants import instant_of
from services.http.parameters import subscription_id_of
from services.http.patience import Patience, TookTooLong
from services.http.problems import Problem, Unavailable, invalid, require
from services.http.requests import GENERATION_ID
from services.http.routes.charges import CHARGES
from services.http.routes.holds import get_hold
from services.http.routes.past import read_past
from services.http.routes.proofs import SinceQuery, get_receipt
from services.ledger.history import NEWEST, History
from services.ledger.recorder import Recorder
from services.subscription.refusals import UnknownSubscription

EVENTS_SHOWN = 12
"""Before and after the event that is shown."""
NEAR = timedelta(minutes=10)


class Row(Struct, frozen=True):
    """An event in the list."""

    version: int
    at: datetime
    type: str
    sentence: str


def key_names(visit: Visit) -> Mapping[str, str]:
    """Return the names of keys by their ids. Raises psycopg.Error."""
    return {each.key_id: each.name for each in visit.service.backend.keys.list()}


@page("/subscriptions/{subscription_id}")
def show_subscription(visit: Visit, subscription_id: str) -> Response:
    """Show a subscription now, at an instant, or as an event left it."""
    id = subscription_id_of(subscription_id)
    visit.call.check_confinement_now(id)
    at, version = _moment(visit)
    with visit.call.connection() as connection:
        now = require(visit.service.as_of.now(connection, id), UnknownSubscription())
        points = _course(visit, connection, id)
        refusals = visit.call.queries(History).refusals(connection, id, after=NEWEST, limit=200)
    past = read_past(visit.call, id, at if at is not None or version is not None else now, version)
    names, shown = key_names(visit), past.last_event.originator_version
    with visit.call.connection() as connection:
        rows = _rows(connection, visit, id, shown, names)
    return visit.page(
        "subscription.html",
        id=id,
        past=past.view(),
        at=past.at,
        is_now=at is None and version is None,
        state=past.state,
        sentence=sentence_of(past.last_event, names),
        chart=chart_of(points, (each.refused_at for each in refusals), past.at, now),
        is_cut=points[0].version > 1,
        newest=points[-1].version,
        rows=rows,
        refusals=[each for each in refusals if each.refused_at <= past.at][:8],
    )


@page("/subscriptions/{subscription_id}/charges/{generation_id}")
def show_charge(visit: Visit, subscription_id: str, generation_id: str) -> Response:
    """Show a charge, or the hold where nothing was charged."""
    id = subscription_id_of(subscription_id)
    visit.call.check_confinement_now(id)
    if not GENERATION_ID.fullmatch(generation_id):
        raise Problem(UnknownCharge(generation_id))
    with visit.call.connection() as connection:
        charge = visit.call.queries(CHARGES).find(connection, id, generation_id)
    if charge is None:
        return visit.page("hold.html", id=id, hold=get_hold(visit.call, id, generation_id))
    with visit.call.connection() as connection:
        (event,) = Recorder(visit.service.backend.schema).events(
            connection, id, after=charge.version - 1, until=charge.version
        )
        near = _near(visit, connection, charge)
    return visit.page(
        "charge.html",
        id=id,
        charge=charge,
        sentence=sentence_of(event, key_names(visit)),
        hash=event.hash.hex(),
        arithmetic=arithmetic(charge.price, charge.credits),
        near=near,
        body=msgspec.Raw(event.state),
    )


@page("/subscriptions/{subscription_id}/charges/{generation_id}/receipt")
def take_receipt(visit: Visit, subscription_id: str, generation_id: str) -> Response:
    """Take the receipt of a charge, as the API gives it."""
    id = subscription_id_of(subscription_id)
    visit.call.check_confinement_now(id)
    return get_receipt(visit.call, id, generation_id, SinceQuery()).response()


@page("/subscriptions/{subscription_id}/charges/{generation_id}/dispute", "POST")
async def open_dispute(visit: Visit, subscription_id: str, generation_id: str) -> Response:
    """Open a dispute of a charge, and show it."""
    visit.requires("dispute")
    id = subscription_id_of(subscription_id)
    await asyncio.to_thread(visit.call.check_confinement_now, id)
    fields = {"subscription_id": id, "generation_id": generation_id, **_given(visit.form, "reason", "note")}
    body = decoded(fields, OpenDisputeRequest)
    command = body.command(uuid4())
    await execute(visit.call, id, command, body)
    return redirect(f"/console/disputes/{command.dispute_id}")


def _course(visit: Visit, connection: Connection[Any], id: UUID) -> Sequence[Point]:
    try:
        return course_of(connection, visit.service.backend.schema, id, Patience(visit.exchange))
    except TookTooLong:  # so busy with payments
        raise Problem(Unavailable()) from None


def decoded(fields: Mapping[str, Any], model: type[Any]) -> Any:
    """Make the request of the API that a form stands for. Raises Problem."""
    try:
        return msgspec.convert(fields, model, strict=False)
    except msgspec.ValidationError as error:
        reason, _, field = str(error).partition(" - at `$")
        raise invalid(field.strip(".`") or "form", reason) from None


def _given(form: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: form[name].strip() for name in names if form.get(name, "").strip()}


def _moment(visit: Visit) -> tuple[datetime | None, int | None]:
    """Return the instant or the version to show; neither is now. Raises Problem."""
    at, version = visit.query.get("at", "").strip(), visit.query.get("version", "").strip()
    if at:
        try:
            return instant_of(at), None
        except ValueError as error:
            raise invalid("at", str(error)) from None
    if not version:
        return None, None
    if not version.isdecimal() or int(version) > MAX_POSITION:
        raise invalid("version", "must be a whole number from 1 on")
    return None, int(version)


def _rows(connection: Connection[Any], visit: Visit, id: UUID, shown: int, names: Mapping[str, str]) -> Sequence[Row]:
    events = Recorder(visit.service.backend.schema).events(
        connection, id, after=max(0, shown - EVENTS_SHOWN - 1), until=shown + EVENTS_SHOWN
    )
    return [
        Row(each.originator_version, each.recorded_at, each.topic, sentence_of(each, names).text)
        for each in reversed(events)
    ]


def _near(visit: Visit, connection: Connection[Any], charge: Charge) -> Sequence[Charge]:
    """List other charges of the same model and settings within minutes."""
    chosen = ChargeFilter(since=charge.charged_at - NEAR, until=charge.charged_at + NEAR, model=charge.model)
    charges = visit.call.queries(CHARGES).of_subscription(
        connection, charge.subscription_id, chosen, before=MAX_POSITION, limit=50
    )
    return [each for each in charges if each.generation_id != charge.generation_id and each.settings == charge.settings]
