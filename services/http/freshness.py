"""Shares what anybody may ask for without a key: it is computed once a second at most, however many ask."""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

FRESH_SECONDS = 1.0


class Shared(Generic[T]):
    """A value of one event loop, computed in a thread when it is asked for and older than `FRESH_SECONDS`."""

    def __init__(self, compute: Callable[[], T]) -> None:
        self._compute = compute
        self._computed_at = float("-inf")
        self._task: asyncio.Task[T] | None = None

    async def value(self) -> T:
        """Return the value; all who ask while it is being computed wait for the same. Raises what computing raises."""
        if self._task is None or (self._task.done() and time.monotonic() > self._computed_at + FRESH_SECONDS):
            self._task = asyncio.create_task(asyncio.to_thread(self._compute))
            self._task.add_done_callback(self._note)
        return await asyncio.shield(self._task)

    def _note(self, _task: "asyncio.Task[T]") -> None:
        self._computed_at = time.monotonic()
