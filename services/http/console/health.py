"""The health of the ledger: readiness, the log and its witnesses, read models, renewals, webhooks, keys."""

from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from projections.positions import Positions
from projections.renewal.due import DueQueries
from services.http.console.pages import Visit, page
from services.http.problems import KeyConfined, Problem
from services.integrity.sealing.store import EVENTS
from services.webhooks.store import WebhookStore

WEBHOOKS_MAX = 100


@page("/health")
async def show_health(visit: Visit) -> Response:
    """Show whether all is well."""
    visit.requires("audit")
    if visit.session.key.is_confined:
        raise Problem(KeyConfined())
    readiness = await visit.service.readiness.value()
    return await run_in_threadpool(_page, visit, readiness)


def _page(visit: Visit, readiness: object) -> Response:
    backend = visit.service.backend
    with visit.call.connection() as connection:
        newest = backend.logs[EVENTS].newest(connection)
        return visit.page(
            "health.html",
            readiness=readiness,
            lags=visit.call.queries(Positions).lags(connection),
            size=newest.checkpoint.size if newest else 0,
            note=str(newest.note) if newest else "",
            backlog=visit.call.queries(DueQueries).backlog(connection, backend.clock()),
            webhooks=visit.call.queries(WebhookStore).endpoints(connection, UUID(int=0), WEBHOOKS_MAX),
            keys=backend.keys.list(),
        )
