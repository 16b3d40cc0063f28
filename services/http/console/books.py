"""The books: the statement of a cycle, usage, the trial balance by subscription, renewals to come."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from projections.usage.view import Usage
from services.http.console.pages import Visit, page
from services.http.console.subscriptions import decoded
from services.http.exports import JSON
from services.http.paging import Page
from services.http.parameters import cycle_of, subscription_id_of
from services.http.problems import KeyConfined, Problem, UnknownCycle, require
from services.http.routes.renewals import AgendaQuery, list_renewals
from services.http.routes.reports import SubscriptionsQuery, TrialBalanceQuery, get_trial_balance, list_trial_balance
from services.http.routes.statements import statement_of
from services.http.routes.usage import UsageQuery, get_usage
from services.subscription.refusals import UnknownSubscription

GROUPS = ("month", "day", "cycle", "model", "asset_type", "member")
ROWS_SHOWN = 400
_SUMS = {"charges", "credits", "reversed_credits", "net_credits"}


@page("/subscriptions/{subscription_id}/statements/{cycle}")
def show_statement(visit: Visit, subscription_id: str, cycle: str) -> Response:
    """Show what moved the balance in a cycle, line by line."""
    id, number = subscription_id_of(subscription_id), cycle_of(cycle)
    visit.call.check_confinement_now(id)
    with visit.call.connection() as connection:
        begun = require(visit.service.statements.cycles(connection, id), UnknownSubscription())
    chosen = require(next((each for each in begun if each.number == number), None), UnknownCycle())
    return visit.page(
        "statement.html", statement=statement_of(visit.call, id, chosen), cycles=[each.number for each in begun]
    )


@page("/subscriptions/{subscription_id}/usage")
def show_usage(visit: Visit, subscription_id: str) -> Response:
    """Show what a subscription was charged, added up by one thing or another."""
    id = subscription_id_of(subscription_id)
    visit.call.check_confinement_now(id)
    group = visit.query.get("group_by", GROUPS[0])
    usage = get_usage(visit.call, id, _query(visit, UsageQuery, group_by=group, limit=ROWS_SHOWN), JSON)
    assert isinstance(usage, Page)
    rows = [(_name(each), each) for each in usage.data]
    highest = max((each.net_credits for _, each in rows), default=0)
    return visit.page("usage.html", id=id, groups=GROUPS, group=group, rows=rows, highest=max(1, highest))


@page("/trial-balance")
def show_trial_balance(visit: Visit) -> Response:
    """Show that every credit is accounted for, and the part of each subscription."""
    visit.requires("audit")
    if visit.session.key.is_confined:
        raise Problem(KeyConfined())
    total = get_trial_balance(visit.call, _query(visit, TrialBalanceQuery))
    rows = list_trial_balance(visit.call, _query(visit, SubscriptionsQuery, position=total.position, limit=ROWS_SHOWN))
    return visit.page("trial_balance.html", total=total, rows=rows.data, is_cut=rows.next_cursor is not None)


@page("/renewals")
def show_renewals(visit: Visit) -> Response:
    """Show what time will next change, the nearest first."""
    visit.requires("audit")
    return visit.page("renewals.html", rows=list_renewals(visit.call, AgendaQuery(limit=ROWS_SHOWN)).data)


def _query(visit: Visit, kind: type[Any], **fields: Any) -> Any:
    """Make the query of the API that the page's query stands for. Raises Problem."""
    given = {
        name: visit.query[name].strip() for name in ("from", "to", "position") if visit.query.get(name, "").strip()
    }
    return decoded({**given, **fields}, kind)


def _name(usage: Usage) -> str:
    """Name a row by what it was grouped by."""
    keys: Mapping[str, Any] = msgspec.to_builtins(usage)
    named = ["none" if value is None else str(value) for key, value in keys.items() if key not in _SUMS]
    return ", ".join(named) or "all"
