"""Serves the style sheet and the script of the console."""

from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.http.console.pages import HEADERS, ROUTES

_TYPES = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def _asset(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    headers = {**HEADERS, "cache-control": "public, max-age=300"}
    return Response(_read(name), headers=headers, media_type=_TYPES[name])


@cache
def _read(name: str) -> bytes:
    return (files("services.http.console") / "static" / name).read_bytes()


ROUTES.extend(Route(f"/console/assets/{name}", _asset) for name in _TYPES)
