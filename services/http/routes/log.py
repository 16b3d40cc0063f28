"""Serve the log to those who follow it, without a key: notes, keys and tiles (C2SP tlog-tiles)."""

from typing import Annotated

from fastapi import APIRouter, Request
from msgspec import Meta

from services.http.calls import service_of
from services.http.documentation import log_examples as examples
from services.http.documentation.operations import Shown, documented
from services.http.problems import InternalError, NoCheckpoint, NotFound, Problem, Unavailable, require
from services.http.routing import TypedRoute
from services.http.server.reply import Reply
from services.integrity.sealing.store import EVENTS, REFUSALS, LogName
from services.log.tiles import BadTilePath, Tile

router = APIRouter(tags=["Log"], route_class=TypedRoute)

TEXT = "text/plain"
OCTETS = "application/octet-stream"
Hashes = Annotated[str, Meta(extra_json_schema={"format": "binary"})]
_ANY = (Unavailable, InternalError)
_FOR_EVER = "public, max-age=31536000, immutable"


@router.get(
    "/v1/log/checkpoint",
    openapi_extra=documented(
        {200: Shown(examples.NOTE, headers=("Cache-Control",), media_type=TEXT)}, refusals=(NoCheckpoint, *_ANY)
    ),
)
def log_checkpoint(request: Request) -> Reply[str]:
    """Show the newest signed note of the log, with the cosignatures of witnesses that it has so far."""
    return _checkpoint(request, EVENTS)


@router.get(
    "/v1/log/keys",
    openapi_extra=documented({200: Shown(examples.KEYS, media_type=TEXT)}, refusals=(NoCheckpoint, *_ANY)),
)
def log_keys(request: Request) -> Reply[str]:
    """List the verifier keys of the log, one a line, oldest first; the last one signs now."""
    return _keys(request, EVENTS)


@router.get(
    "/v1/log/tile/{level}/{tile:path}",
    openapi_extra=documented(
        {200: Shown(examples.TILE, headers=("Cache-Control",), media_type=OCTETS)}, refusals=(NotFound, *_ANY)
    ),
)
def log_tile(request: Request, level: str, tile: str) -> Reply[Hashes]:
    """Serve a tile: hashes of the log's tree that stand side by side. At level 0 they are the hashes of the events.

    A tile has 256 hashes; with `.p/N` behind its number it has the first N of them. What was served once stays. Beyond
    the newest checkpoint there is nothing.
    """
    return _tile(request, EVENTS, level, tile)


@router.get(
    "/v1/log/refusals/checkpoint",
    openapi_extra=documented(
        {200: Shown(examples.REFUSALS_NOTE, headers=("Cache-Control",), media_type=TEXT)},
        refusals=(NoCheckpoint, *_ANY),
    ),
)
def refusals_checkpoint(request: Request) -> Reply[str]:
    """Show the newest signed note of the log of refusals."""
    return _checkpoint(request, REFUSALS)


@router.get(
    "/v1/log/refusals/keys",
    openapi_extra=documented({200: Shown(examples.REFUSALS_KEYS, media_type=TEXT)}, refusals=(NoCheckpoint, *_ANY)),
)
def refusals_keys(request: Request) -> Reply[str]:
    """List the verifier keys of the log of refusals, as those of the log."""
    return _keys(request, REFUSALS)


@router.get(
    "/v1/log/refusals/tile/{level}/{tile:path}",
    openapi_extra=documented(
        {200: Shown(examples.TILE, headers=("Cache-Control",), media_type=OCTETS)}, refusals=(NotFound, *_ANY)
    ),
)
def refusals_tile(request: Request, level: str, tile: str) -> Reply[Hashes]:
    """Serve a tile of the log of refusals, as those of the log."""
    return _tile(request, REFUSALS, level, tile)


def _checkpoint(request: Request, log: LogName) -> Reply[str]:
    backend = service_of(request).backend
    with backend.long_reads.connection() as connection:
        newest = require(backend.logs[log].newest(connection), NoCheckpoint())
    return Reply(200, str(newest.note).encode(), {"cache-control": "no-cache"}, TEXT)


def _keys(request: Request, log: LogName) -> Reply[str]:
    backend = service_of(request).backend
    with backend.long_reads.connection() as connection:
        keys = require(backend.logs[log].keys(connection) or None, NoCheckpoint())
    return Reply(200, "".join(f"{key}\n" for key in keys).encode(), {"cache-control": "no-cache"}, TEXT)


def _tile(request: Request, log: LogName, level: str, path: str) -> Reply[Hashes]:
    try:
        tile = Tile.parse(f"{level}/{path}")
    except BadTilePath:
        raise Problem(NotFound()) from None
    backend = service_of(request).backend
    with backend.long_reads.connection() as connection:
        hashes = require(backend.logs[log].tile(connection, tile), NotFound())
    return Reply(200, hashes, {"cache-control": _FOR_EVER}, OCTETS)
