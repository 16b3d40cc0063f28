"""Serves the documentation: `/openapi.json` and, without the Internet, `/docs`."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from services.http.documentation.openapi import openapi_document

_ASSETS = "/docs/assets"


def documentation_routes(routers: Sequence[APIRouter]) -> list[BaseRoute]:
    """Make the routes that show the documentation of the routers, and serve the scripts of the page."""
    document = cache(lambda: openapi_document(routers))

    def show_document(_request: Request) -> Response:
        return Response(document(), media_type="application/json")

    def show_page(_request: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="openapi.json",  # relative: a proxy may serve all of this below a prefix
            title="Tallystick",
            swagger_js_url=f"{_ASSETS[1:]}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS[1:]}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS[1:]}/favicon.png",
        )

    assets = StaticFiles(directory=str(files("fastapi_offline") / "static"))
    return [Route("/openapi.json", show_document), Route("/docs", show_page), Mount(_ASSETS, assets)]
