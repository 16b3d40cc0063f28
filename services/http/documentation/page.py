"""Serves the documentation: `/openapi.json` and, without the Internet, `/docs`."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.resources import files

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from services.http.documentation.openapi import openapi_document

_ASSETS = "/docs/assets"


def documentation_routes(document: Future[bytes]) -> list[BaseRoute]:
    """Make the routes that show the documentation of the API, and serve the scripts of the page."""

    async def show_document(_request: Request) -> Response:
        return Response(await asyncio.wrap_future(document), media_type="application/json")

    async def show_page(_request: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url="openapi.json",  # relative: a proxy may serve all of this below a prefix
            title="Tallystick",
            swagger_js_url=f"{_ASSETS[1:]}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS[1:]}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS[1:]}/favicon.png",
        )

    assets = StaticFiles(directory=str(files("fastapi_offline") / "static"))
    return [Route("/openapi.json", show_document), Route("/docs", show_page), Mount(_ASSETS, assets)]


def begin_document(routers: Sequence[APIRouter]) -> Future[bytes]:
    """Begin to make the document, which takes a tenth of a second: before requests come, not beside them."""
    thread = ThreadPoolExecutor(1)
    document = thread.submit(openapi_document, routers)
    thread.shutdown(wait=False)
    return document
