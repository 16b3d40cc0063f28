"""Bounds a long read in time, lets others in between, and ends it when the asker is gone."""

import time

from starlette.requests import ClientDisconnect

from services.http.server.exchange import Exchange

LONG_READ_SECONDS = 20.0
_TURN_SECONDS = 0.0005


class TookTooLong(RuntimeError):
    """The read has taken `LONG_READ_SECONDS`."""


class AskerGone(ClientDisconnect):
    """Nobody waits for the answer any more."""


class Patience:
    """The time that one long read may take. Call it again and again meanwhile, from the thread that reads."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._end = time.monotonic() + LONG_READ_SECONDS
        self._turn_ends = 0.0

    def __call__(self) -> None:
        """Let other threads run, if it has computed for half a millisecond. Raises TookTooLong, AskerGone."""
        now = time.monotonic()
        if now < self._turn_ends:
            return
        if self._exchange.is_asker_gone:
            raise AskerGone
        if now > self._end:
            raise TookTooLong
        time.sleep(0)  # releases the interpreter; a charge would else wait for it several times over
        self._turn_ends = time.monotonic() + _TURN_SECONDS
