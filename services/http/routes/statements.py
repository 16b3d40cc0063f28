"""Show what moved a subscription's balance in each credit cycle, line by line."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import Meta, Struct, to_builtins
from msgspec.structs import replace
from starlette.responses import Response

from services.http.calls import Call, Reader
from services.http.decoding import QueryOf
from services.http.documentation import statement_examples as examples
from services.http.documentation.examples import page_of
from services.http.documentation.operations import Shown, documented
from services.http.exports import HTML, JSON, PageAccepted, instant_cell, refuse_pages, stream_of
from services.http.paging import Page, Paging
from services.http.parameters import CycleNumber, SubscriptionId
from services.http.patience import Patience, TookTooLong
from services.http.problems import Problem, Unavailable, UnknownCycle, require
from services.http.routing import TypedRoute
from services.http.server.reply import Reply
from services.http.statement_page import page_headers, statement_page
from services.integrity.sealing.reader import Published
from services.integrity.sealing.store import EVENTS
from services.ledger.statements import Cycle, Statement
from services.postgres.database import read_again
from services.subscription.refusals import UnknownSubscription
from services.subscription.statement import StatementLine

router = APIRouter(tags=["Subscriptions"], route_class=TypedRoute)

LINES_A_PAGE = 10_000
"""A page of statements ends with the one that brings its lines to so many."""
_FIGURES = """
    subscription_id cycle plan_id opening_credits granted_credits carried_credits used_credits reversed_credits
    lapsed_credits held_credits closing_credits first_version last_version
""".split()
"""The columns of statements in CSV, one row each, without their lines."""
_LINE = "subscription_id cycle at kind credits balance_after generation_id text".split()
"""The columns of the lines of one statement in CSV."""


class AtCycle(Struct, frozen=True, array_like=True, tag=True):
    """A place in the list of statements, before which are those of later cycles."""

    cycle: Annotated[int, Meta(ge=1, le=10**9)]


_BEFORE_ALL = AtCycle(10**9)


@router.get(
    "/v1/subscriptions/{subscription_id}/statements",
    openapi_extra=documented(
        {200: Shown(page_of(examples.STATEMENT), streams=examples.LIST_STREAMS)}, refusals=(UnknownSubscription,)
    ),
)
def list_statements(
    call: Reader,
    subscription_id: SubscriptionId,
    query: Annotated[Paging, Depends(QueryOf(Paging))],
    form: PageAccepted,
) -> Page[Statement] | Response:
    """List the statements of a subscription, one for each cycle begun, newest first, each with its lines.

    A page has fewer than `limit` where their lines are many. As CSV it is a row for each statement, without lines, and
    as NDJSON an object for each; both have all of them in one stream. As HTML it is a page to print.
    """
    cycles = call.service.statements.cycles
    with call.connection() as connection:
        begun = require(cycles(connection, subscription_id), UnknownSubscription())
    if form in {JSON, HTML}:
        before = query.place(AtCycle, _BEFORE_ALL).cycle
        chosen = [cycle for cycle in reversed(begun) if cycle.number < before]
        statements = _some(call, subscription_id, chosen[: query.limit])
        if form == HTML:
            return _page(statements)
        is_last = len(statements) == len(chosen)
        return Page(statements, None) if is_last else query.part(statements, AtCycle(statements[-1].cycle))
    refuse_pages(query)
    pages = ([read_again(partial(statement_of, call, subscription_id, cycle))] for cycle in reversed(begun))
    return stream_of(form, f"statements-{subscription_id}", _FIGURES, pages, _figures)


@router.get(
    "/v1/subscriptions/{subscription_id}/statements/{cycle}",
    openapi_extra=documented(
        {200: Shown(examples.STATEMENT, streams=examples.STREAMS)}, refusals=(UnknownSubscription, UnknownCycle)
    ),
)
def get_statement(
    call: Reader, subscription_id: SubscriptionId, cycle: CycleNumber, form: PageAccepted
) -> Statement | Response:
    """Show the statement of one cycle: what moved the balance, line by line.

    It begins with the balance before the cycle. Each line adds its credits, so that the last one leaves the closing
    balance, which the statement of the next cycle opens with. A reset's lapse stands in the statement of the cycle that
    it begins, that of an end in the last one. What is due and not recorded yet is in it, as in every read. As CSV and
    NDJSON it has the lines alone; as HTML it is a page to print, which names the checkpoint that covers it.
    """
    with call.connection() as connection:
        begun = require(call.service.statements.cycles(connection, subscription_id), UnknownSubscription())
    wanted = require(next((each for each in begun if each.number == cycle), None), UnknownCycle())
    statement = statement_of(call, subscription_id, wanted)
    if form == JSON:
        return statement
    if form == HTML:
        return _page([statement])
    name = f"statement-{subscription_id}-{cycle}"
    return stream_of(form, name, _LINE, iter([statement.lines]), partial(_line, statement))


def _some(call: Call, id: UUID, cycles: Sequence[Cycle]) -> list[Statement]:
    """Make the statements of some cycles, or of the first of them where these have many lines."""
    statements: list[Statement] = []
    lines = 0
    for cycle in cycles:
        statements.append(statement_of(call, id, cycle))
        lines += len(statements[-1].lines)
        if lines >= LINES_A_PAGE:
            break
    return statements


def statement_of(call: Call, id: UUID, cycle: Cycle) -> Statement:
    """Make the statement of a cycle, with the note that covers it. Raises Problem, psycopg.Error."""
    statements = call.service.statements
    with call.connection() as connection:
        try:
            statement = statements.statement(connection, id, cycle, Patience(call.exchange))
        except TookTooLong:  # millions of events in one cycle, or no time left by payments
            raise Problem(Unavailable()) from None
        if cycle.last_version is None:
            return statement
        newest = call.service.backend.logs[EVENTS].newest(connection)
        return _covered(statement, newest, statements.position(connection, id, cycle.last_version))


def _covered(statement: Statement, newest: Published | None, position: int) -> Statement:
    if newest is None or newest.checkpoint.size < position:
        return statement
    return replace(statement, checkpoint=str(newest.note))


def _page(statements: Sequence[Statement]) -> Response:
    return Reply(200, statement_page(statements), page_headers(), f"{HTML}; charset=utf-8").response()


def _figures(statement: Struct) -> dict[str, Any]:
    return {name: to_builtins(getattr(statement, name)) for name in _FIGURES}


def _line(statement: Statement, line: Struct) -> dict[str, Any]:
    assert isinstance(line, StatementLine)
    return {
        "subscription_id": statement.subscription_id,
        "cycle": statement.cycle,
        "at": instant_cell(line.at),
        "kind": line.kind,
        "credits": line.credits,
        "balance_after": line.balance_after,
        "generation_id": line.generation_id or "",
        "text": line.text,
    }
