"""Show operators whether the process is alive and ready, and its metrics."""

from typing import Literal

from fastapi import APIRouter, Request
from msgspec import Struct
from msgspec.structs import replace

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
async def readyz(request: Request) -> Reply[Readiness]:
    """Say whether charges can be made, and what keeps them from it. It is checked once a second at most.

    A process that is about to stop says so two seconds before, and answers what comes meanwhile.
    """
    service = service_of(request)
    readiness = await service.readiness.value()
    if service.stop.is_announced:
        readiness = replace(readiness, status="not_ready", accepting=False)
    return json_reply(readiness, 200 if readiness.status == "ready" else 503)


@router.get("/metrics", openapi_extra=documented({200: Shown(examples.METRICS, media_type=CONTENT_TYPE)}))
async def metrics(request: Request) -> Reply[str]:
    """Show the metrics of this process, for Prometheus, as of the last second."""
    return Reply(200, await service_of(request).exposition.value(), media_type=CONTENT_TYPE)
