"""Bounds a long read in time, lets payments go before it, and ends it when the asker is gone."""

import time

from starlette.requests import ClientDisconnect

from services.http.server.exchange import Exchange

LONG_READ_SECONDS = 20.0
_TURN_SECONDS = 0.0002
_PAYMENT_SECONDS = 0.25
_REST_RATIO = 3
_REST_SECONDS_MAX = 0.1


class Payments:
    """When the last charge, batch or balance was asked for, by `time.perf_counter`, in this process."""

    asked_at = -_PAYMENT_SECONDS

    @classmethod
    def let_pass(cls, used_seconds: float) -> None:
        """Leave the interpreter, the cores and the database to payments for a while, if there are any.

        It is three times as long as was used, so that long reads take a quarter of a core; without payments, all.
        """
        time.sleep(min(used_seconds * _REST_RATIO, _REST_SECONDS_MAX) if cls.are_asked_for() else 0)

    @classmethod
    def are_asked_for(cls) -> bool:
        """Whether there were any a moment ago."""
        return time.perf_counter() - cls.asked_at < _PAYMENT_SECONDS


class TookTooLong(RuntimeError):
    """The read has taken `LONG_READ_SECONDS`."""


class AskerGone(ClientDisconnect):
    """Nobody waits for the answer any more."""


class Patience:
    """The time that one long read may take. Call it again and again meanwhile, from the thread that reads."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._end = time.monotonic() + LONG_READ_SECONDS
        self._turn_began = time.monotonic()

    def __call__(self) -> None:
        """Let payments pass, if it has computed for a moment. Raises TookTooLong, AskerGone."""
        now = time.monotonic()
        if now < self._turn_began + _TURN_SECONDS:
            return
        if self._exchange.is_asker_gone:
            raise AskerGone
        if now > self._end:
            raise TookTooLong
        Payments.let_pass(now - self._turn_began)
        self._turn_began = time.monotonic()
