"""One line a request where that is asked for, and one for every request that is slow."""

from typing import Literal

import structlog

from services.http.server.exchange import Exchange

SLOW_SECONDS = 1.0
_SLOW_ON_PURPOSE = frozenset({401, 429})
"""Statuses of who is made to wait."""
_WAITS = "/v1/events"
"""The route whose answers wait for what is to come."""

Level = Literal["debug", "info"]

log = structlog.get_logger()


class RequestLog:
    """Writes lines of requests; at which level each has one, or None: only those that are slow."""

    def __init__(self, level: Level | None) -> None:
        self._level = level

    def note(self, exchange: Exchange, method: str, route: str, status: int, seconds: float) -> None:
        """Note an answer. `seconds` is how long it took until its head was sent."""
        if self._level is not None:
            line = log.debug if self._level == "debug" else log.info
            line("request", **_fields(exchange, method, route, status, seconds))
        if seconds > SLOW_SECONDS and status not in _SLOW_ON_PURPOSE and route != _WAITS:
            log.warning("a request was slow", **_fields(exchange, method, route, status, seconds))


def _fields(exchange: Exchange, method: str, route: str, status: int, seconds: float) -> dict[str, object]:
    return {
        "request_id": exchange.request_id,
        "method": method,
        "route": route,
        "status": status,
        "code": exchange.code,
        "seconds": round(seconds, 6),
        "address": exchange.peer(),
    }
