"""A page of the console: who may see it, the token of its form, its headers, and what becomes of an error.

A page is a function of a `Visit` and the parameters of its path, registered by `page`. Every POST carries the token of
its session, and comes from a page of this service.
"""

import secrets
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from services.http.calls import Call, service_of
from services.http.console.rendering import render
from services.http.console.sessions import Session, Sessions
from services.http.problems import MissingScope, Problem, problem_of
from services.http.server.exchange import Exchange, exchange_of
from services.http.server.limits import PACE_OF_STRANGERS, Pace
from services.http.service import Service

SESSION_COOKIE, SIGN_IN_COOKIE = "tallystick_session", "tallystick_sign_in"
SIGN_IN = "/console/sign-in"
SCOPES = ("audit", "dispute")
"""A key with one of these may sign in."""
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

ROUTES: list[Route] = []
_strangers = Pace(PACE_OF_STRANGERS)


class ForgedForm(Exception):
    """A form without the token of its session, or from another site."""


class Visit(Struct, frozen=True):
    """A request to a page, by whoever is signed in."""

    request: Request
    service: Service
    exchange: Exchange
    session: Session
    form: Mapping[str, str]
    """What was posted; empty for a GET."""

    @property
    def call(self) -> Call:
        """The call of the API that the page stands for: by the key, for the agent."""
        return Call(self.service, self.exchange, self.session.key, self.session.agent)

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters behind the path; of several of one name the last."""
        return self.request.query_params

    def requires(self, scope: str) -> None:
        """Raise Problem where the key lacks the scope."""
        if scope not in self.session.key.scopes:
            raise Problem(MissingScope(scope))

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Render a page."""
        return respond(render(template, session=self.session, q=self.query.get("q", ""), **values), status)


Handler = Callable[..., Any]


def page(path: str, *methods: str) -> Callable[[Handler], Handler]:
    """Register a page for those who are signed in; by GET, unless other methods are named."""

    def register(handler: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            return await _answer(request, handler)

        ROUTES.append(Route(f"/console{path}", endpoint, methods=[*(methods or ("GET",))]))
        return handler

    return register


def respond(html: str, status: int = 200) -> Response:
    """Make the response of a page."""
    return Response(html, status, HEADERS, "text/html; charset=utf-8")


def redirect(path: str) -> Response:
    """Lead to another page of the console."""
    return RedirectResponse(path, 303, HEADERS)


async def pace_strangers() -> None:
    """Let those who are not signed in come one after the other where they are many."""
    await _strangers.wait()


def sessions_of(service: Service) -> Sessions:
    """Return the sessions of the service's ledger."""
    return Sessions(service.backend.reads, service.backend.schema)


async def read_form(request: Request, exchange: Exchange, token: str) -> Mapping[str, str]:
    """Read what was posted. Raises ForgedForm unless it has the token and comes from a page of this host; Problem."""
    if not _is_from_here(request.headers.get("origin"), request.headers):
        raise ForgedForm
    form = dict(parse_qsl((await exchange.body()).decode("utf-8", "replace"), keep_blank_values=True))
    if not token or not secrets.compare_digest(form.get("csrf_token", "").encode(), token.encode()):
        raise ForgedForm
    return form


def _is_from_here(origin: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a form comes from a page of this host. Browsers withhold the origin where there is no referrer."""
    site = headers.get("sec-fetch-site")
    if origin == "null":
        return site == "same-origin"
    is_ours = origin is None or urlsplit(origin).netloc == headers.get("host")
    return is_ours and site in {None, "same-origin", "none"}


async def _answer(request: Request, handler: Handler) -> Response:
    service, exchange = service_of(request), exchange_of(request.scope)
    session: Session | None = None
    try:
        token = request.cookies.get(SESSION_COOKIE, "")
        session = await run_in_threadpool(sessions_of(service).find, token) if token else None
        if session is None:
            await pace_strangers()
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return redirect(f"{SIGN_IN}?next={quote(here, safe='')}" if request.method == "GET" else SIGN_IN)
        form = await read_form(request, exchange, session.csrf_token) if request.method == "POST" else {}
        visit = Visit(request, service, exchange, session, form)
        if iscoroutinefunction(handler):
            response = await handler(visit, **request.path_params)
        else:
            response = await run_in_threadpool(handler, visit, **request.path_params)
        assert isinstance(response, Response)
        return response
    except ForgedForm:
        return refused(session, 403, "This form is not one of yours, or too old. Open its page again.", exchange)
    except Exception as error:  # noqa: BLE001 - becomes a page, and is logged there
        problem = problem_of(error, exchange.request_id)
        exchange.code = problem.refusal.code
        return refused(session, problem.status, problem.refusal.detail, exchange)


def refused(session: Session | None, status: int, detail: str, exchange: Exchange) -> Response:
    """Make the page of an error."""
    html = render("error.html", session=session, q="", status=status, detail=detail, request_id=exchange.request_id)
    return respond(html, status)
