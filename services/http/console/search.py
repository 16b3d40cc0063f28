"""One box for every id: of an account, a subscription, a generation, a dispute, a request, a delivery of a webhook."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection
from starlette.responses import Response

from projections.charges.queries import ChargeFilter
from projections.declaration import MAX_POSITION
from projections.renewal.queries import RenewalQueries, SubscriptionFilter
from services.http.console.pages import Visit, page, redirect
from services.http.requests import GENERATION_ID
from services.http.routes.charges import CHARGES
from services.ledger.disputes import Disputes
from services.ledger.history import EventFilter, History

HITS_MAX = 50
_SCAN_SECONDS = 2.0
_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DELIVERY = re.compile(r"[0-9a-f]{32}-(\d{1,18})(?:-\d+)?")
_LOWEST_ID = UUID(int=0)


class Hit(Struct, frozen=True):
    """What an id is of, in a word, what is known of it, and its page."""

    kind: str
    text: str
    path: str


@page("/")
def lead_home(_visit: Visit) -> Response:
    """Lead to the page without the stroke."""
    return redirect("/console")


@page("")
def home(visit: Visit) -> Response:
    """Show the search box."""
    return visit.page("home.html")


@page("/search")
def search(visit: Visit) -> Response:
    """Find what has an id; one hit opens at once."""
    text = visit.query.get("q", "").strip()
    if not text:
        return redirect("/console")
    with visit.call.connection() as connection:
        within = visit.call.own_subscriptions(connection)
        hits = [*{hit.path: hit for hit in _hits(visit, connection, text, within)}.values()][:HITS_MAX]
    return redirect(hits[0].path) if len(hits) == 1 else visit.page("search.html", hits=hits, text=text)


def _hits(visit: Visit, connection: Connection[Any], text: str, within: Any) -> Iterator[Hit]:
    renewals, history = visit.call.queries(RenewalQueries), visit.call.queries(History)
    if _UUID.fullmatch(text):
        id = UUID(text)
        dispute = visit.call.queries(Disputes).head(connection, id)
        if dispute is not None and _may_see(within, dispute.state.subscription_id):
            yield Hit("dispute", f"{dispute.state.status}, of {dispute.state.generation_id}", f"/console/disputes/{id}")
        if _may_see(within, id) and (found := renewals.find(connection, id)) is not None:
            yield Hit("subscription", f"of account {found.state.account_id}", f"/console/subscriptions/{id}")
    if GENERATION_ID.fullmatch(text):
        charges = visit.call.queries(CHARGES).of_ledger(
            connection, ChargeFilter(), generation_id=text, within=within, before=MAX_POSITION, limit=HITS_MAX
        )
        for each in charges:
            path = f"/console/subscriptions/{each.subscription_id}/charges/{each.generation_id}"
            yield Hit("charge", f"{each.credits:,} credits for {each.model}", path)
    if "\0" not in text:
        chosen, now = SubscriptionFilter(account_id=text, within=within), visit.service.backend.clock()
        for one in renewals.list(connection, chosen, now=now, after=_LOWEST_ID, limit=HITS_MAX):
            path = f"/console/subscriptions/{one.subscription_id}"
            yield Hit("subscription", f"{one.state.plan.name}, {one.state.shown_status}", path)
    if (delivery := _DELIVERY.fullmatch(text)) is not None:
        at = int(delivery[1])
        events = history.of_ledger(connection, after_position=at - 1, limit=1, chosen=EventFilter())
        yield from _events(within, [each for each in events if each.position == at], "delivery")
    elif _REQUEST_ID.fullmatch(text) and not _UUID.fullmatch(text):
        scan = history.scan(
            connection,
            after_position=0,
            limit=HITS_MAX,
            chosen=EventFilter(request_id=text),
            seconds=_SCAN_SECONDS,
        )
        yield from _events(within, scan.events, "request")


def _events(within: Any, events: Any, kind: str) -> Iterator[Hit]:
    for each in events:
        if _may_see(within, each.subscription_id):
            is_of_dispute = isinstance(each.dispute_id, UUID)
            path = f"disputes/{each.dispute_id}" if is_of_dispute else f"subscriptions/{each.subscription_id}"
            yield Hit(kind, each.type, f"/console/{path}" + ("" if is_of_dispute else f"?version={each.version}"))


def _may_see(within: Any, id: UUID) -> bool:
    return within is None or id in within
