"""For those who run the service: is it alive, is it ready, how is it doing."""

from typing import Literal

from fastapi import APIRouter, Request
from msgspec import Struct
from starlette.responses import Response

from services.http.calls import service_of
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.metrics import CONTENT_TYPE
from services.http.readiness import Readiness
from services.http.server.reply import json_response

router = APIRouter(tags=["Operations"])


class Alive(Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"] = "ok"


@router.get("/livez", openapi_extra=documented({200: Shown(Alive, Alive())}))
async def livez() -> Response:
    """Say that the process answers. Asks nobody else."""
    return json_response(Alive())


@router.get(
    "/readyz",
    openapi_extra=documented({200: Shown(Readiness, examples.READY), 503: Shown(Readiness, examples.NOT_READY)}),
)
def readyz(request: Request) -> Response:
    """Say whether requests can be answered: the database is reached, its schema up to date, the writer lane alive."""
    readiness = service_of(request).readiness.now()
    return json_response(readiness, 200 if readiness.status == "ready" else 503)


@router.get("/metrics", openapi_extra=documented({200: Shown(str, examples.METRICS, media_type=CONTENT_TYPE)}))
def metrics(request: Request) -> Response:
    """Show the metrics of this process, for Prometheus."""
    return Response(service_of(request).metrics.exposition(), media_type=CONTENT_TYPE)
