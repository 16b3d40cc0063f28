"""Sign in with a key and a name, and sign out."""

import secrets

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.http.calls import service_of
from services.http.console.pages import (
    ROUTES,
    SCOPES,
    SESSION_COOKIE,
    SIGN_IN,
    SIGN_IN_COOKIE,
    ForgedForm,
    Visit,
    pace_strangers,
    page,
    read_form,
    redirect,
    respond,
    sessions_of,
)
from services.http.console.rendering import render
from services.http.console.sessions import SESSION_SECONDS
from services.http.problems import MissingScope, Problem, problem_of
from services.http.server.exchange import Exchange, exchange_of
from services.http.service import Service
from services.keys import Key

NAME_LENGTH_MAX = 64
_HOME = "/console"


async def _sign_in(request: Request) -> Response:
    await pace_strangers()
    if request.method == "GET":
        return _form(request, _inside(request.query_params.get("next", "")))
    exchange = exchange_of(request.scope)
    try:
        form = await read_form(request, exchange, request.cookies.get(SIGN_IN_COOKIE, ""))
    except ForgedForm:
        return _form(request, _HOME, 403, "This form is too old, or not from here. Try again.")
    except Problem as problem:
        return _form(request, _HOME, problem.status, problem.refusal.detail)
    goal, name = _inside(form.get("next", "")), " ".join(form.get("name", "").split())
    if not 0 < len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        return _form(request, goal, 422, f"Say who you are, in 1 to {NAME_LENGTH_MAX} characters.")
    service = service_of(request)
    try:
        key = await _key_of(service, exchange, form.get("key", "").strip())
        token = await run_in_threadpool(sessions_of(service).begin, key, name)
    except Exception as error:  # noqa: BLE001 - becomes a page, and is logged there
        refused = problem_of(error, exchange.request_id)
        exchange.code = refused.refusal.code
        return _form(request, goal, refused.status, _reason(refused))
    response = redirect(goal)
    _set_cookie(request, response, SESSION_COOKIE, token, SESSION_SECONDS)
    response.delete_cookie(SIGN_IN_COOKIE, path=SIGN_IN)
    return response


ROUTES.append(Route(SIGN_IN, _sign_in, methods=["GET", "POST"]))


@page("/sign-out", "POST")
def sign_out(visit: Visit) -> Response:
    """End the session."""
    sessions_of(visit.service).end(visit.request.cookies.get(SESSION_COOKIE, ""))
    response = redirect(SIGN_IN)
    response.delete_cookie(SESSION_COOKIE, path=_HOME)
    return response


async def _key_of(service: Service, exchange: Exchange, secret: str) -> Key:
    """Return the key, which has one of the scopes. Raises Problem, psycopg.Error."""
    exchange.authorization = f"Bearer {secret}" if secret else ""
    for scope in SCOPES:
        try:
            return await service.authenticator.caller(exchange, scope)
        except Problem as problem:
            if not isinstance(problem.refusal, MissingScope):
                raise
    raise Problem(MissingScope(" or ".join(SCOPES)))


def _reason(problem: Problem) -> str:
    match problem.status:
        case 401:
            return "There is no such key."
        case 403:
            return f"This key may not sign in: that takes the scope {' or '.join(SCOPES)}."
        case _:
            return problem.refusal.detail


def _form(request: Request, goal: str, status: int = 200, error: str = "") -> Response:
    token = secrets.token_urlsafe(24)
    html = render("sign_in.html", session=None, csrf_token=token, next=goal, error=error)
    response = respond(html, status)
    _set_cookie(request, response, SIGN_IN_COOKIE, token, 3_600, path=SIGN_IN)
    return response


def _set_cookie(request: Request, response: Response, name: str, value: str, seconds: int, path: str = _HOME) -> None:
    is_secure = "https" in {request.url.scheme, request.headers.get("x-forwarded-proto", "")}
    response.set_cookie(name, value, max_age=seconds, path=path, secure=is_secure, httponly=True, samesite="strict")


def _inside(path: str) -> str:
    """Return a path of the console to go to, whatever was asked for."""
    is_ours = path.startswith(f"{_HOME}/") and "\\" not in path and path.isprintable() and not path.startswith(SIGN_IN)
    return path if is_ours else _HOME
