"""Makes the HTTP API, one ASGI app, on an open backend."""

from concurrent.futures import Future
from functools import cache

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from services.http.backend import Backend
from services.http.console.routes import console_routes
from services.http.documentation.page import begin_document, documentation_routes
from services.http.problems import FieldError, InvalidRequest, MethodNotAllowed, NotFound, Problem, problem_of
from services.http.routes import ROUTERS
from services.http.routing import HotRoute, typed_routes
from services.http.server.edge import Edge
from services.http.server.exchange import exchange_of
from services.http.server.fast_path import FastPath
from services.http.service import Service
from services.ledger.lane import LaneClosed, LaneFull


def create_app(backend: Backend) -> Edge:
    """Make the API. It opens and closes nothing itself."""
    service = Service.on(backend)
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    api.state.service = service
    # Not `include_router`, which puts off most of its work until the first requests.
    api.router.routes.extend((*typed_routes(ROUTERS), *documentation_routes(_document()), *console_routes()))
    for kind in (Problem, HTTPException, RequestValidationError, psycopg.Error, LaneFull, LaneClosed, Exception):
        api.add_exception_handler(kind, _answer_problem)
    fast_path = FastPath(service, (route for route in typed_routes(ROUTERS) if isinstance(route, HotRoute)))
    return Edge(fast_path, api, service.metrics)


@cache
def _document() -> Future[bytes]:
    """Make the documentation once a process."""
    return begin_document(ROUTERS)


async def _answer_problem(request: Request, error: Exception) -> Response:
    exchange = exchange_of(request.scope)
    request_id = exchange.request_id
    problem = _of_framework(request, error) or problem_of(error, request_id)
    exchange.code = problem.refusal.code
    return problem.reply(request_id).response()


def _of_framework(request: Request, error: Exception) -> Problem | None:
    """Return the problem for what Starlette and FastAPI refuse themselves; None for any other error."""
    match error:
        case HTTPException(status_code=404):
            return Problem(NotFound())
        case HTTPException(status_code=405):
            return Problem(MethodNotAllowed(), headers={"allow": ", ".join(_allowed_methods(request))})
        case RequestValidationError():
            errors = (FieldError(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors())
            return Problem(InvalidRequest(tuple(errors)))
        case _:
            return None


def _allowed_methods(request: Request) -> list[str]:
    routes = (route for route in typed_routes(ROUTERS) if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in routes for method in route.methods or ()})
