"""The statement of a credit cycle, and all of them in figures."""

from starlette.responses import Response

from services.http.console.pages import Visit, page
from services.http.parameters import cycle_of, subscription_id_of
from services.http.problems import UnknownCycle, require
from services.http.routes.statements import statement_of
from services.subscription.refusals import UnknownSubscription


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
