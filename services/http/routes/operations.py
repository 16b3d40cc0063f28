"""Show operators whether the process is alive and ready, and its metrics."""

from typing import Literal

from fastapi import APIRouter, Request
from msgspec import Struct

from services.http.calls import service_of
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.metrics import CONTENT_TYPE
from services.http.readiness import Readiness
from services.http.routing import TypedRoute
from services.http.server.reply import Reply, json_reply

router = APIRouter(tags=["Operations"], route_class=TypedRoute)


class Alive(Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"] = "ok"


@router.get("/livez", openapi_extra=documented({200: Alive()}))
async def livez() -> Alive:
    """Say that the process answers. Asks nobody else."""
    return Alive()


@router.get("/readyz", openapi_extra=documented({200: examples.READY, 503: examples.NOT_READY}))
def readyz(request: Request) -> Reply[Readiness]:
    """Say whether requests can be answered: the database is reached, its schema up to date, the writer lane alive."""
    readiness = service_of(request).readiness.now()
    return json_reply(readiness, 200 if readiness.status == "ready" else 503)


@router.get("/metrics", openapi_extra=documented({200: Shown(examples.METRICS, media_type=CONTENT_TYPE)}))
def metrics(request: Request) -> Reply[str]:
    """Show the metrics of this process, for Prometheus."""
    return Reply(200, service_of(request).metrics.exposition(), media_type=CONTENT_TYPE)
