"""Limits the requests of each key: a bucket of N tokens, refilled N a second, in each process.

Kept as one number a key: the instant at which its bucket will be full (the generic cell rate algorithm).
"""

import math
import time
from collections.abc import Callable, Mapping

from msgspec import Struct

KEYS_MAX = 10_000
_TOKEN = 1_000_000_000


class Quota(Struct, frozen=True):
    """What is left to a key after a request, when its bucket is full, and, if it was refused, when to ask again."""

    limit: int
    remaining: int
    full_in_seconds: float
    retry_in_seconds: float | None = None

    def headers(self) -> Mapping[str, str]:
        """Return the headers of the answer, as draft-ietf-httpapi-ratelimit-headers has them.

        Times are whole seconds, rounded up.
        """
        headers = {
            "ratelimit-policy": f'"key";q={self.limit};w=1',
            "ratelimit": f'"key";r={self.remaining};t={math.ceil(self.full_in_seconds)}',
        }
        if self.retry_in_seconds is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_in_seconds)))
        return headers


class RateLimits:
    """The buckets of one process. Call it from one thread. `monotonic_ns` is a clock of nanoseconds."""

    def __init__(self, limit: int, *, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._limit = limit
        self._monotonic_ns = monotonic_ns
        self._full_at: dict[str, int] = {}
        """In units of a nanosecond by the limit, in which a token comes back in a whole number of them: `_TOKEN`."""

    def take(self, key_id: str) -> Quota:
        """Take a token of a key's bucket. The quota has `retry_in_seconds` where there was none."""
        now = self._monotonic_ns() * self._limit
        lacking = max(self._full_at.get(key_id, now) - now, 0)
        room = _TOKEN * self._limit - lacking
        if room < _TOKEN:
            return Quota(self._limit, 0, self._seconds(lacking), self._seconds(_TOKEN - room))
        if len(self._full_at) >= KEYS_MAX:
            self._full_at = {id: at for id, at in self._full_at.items() if at > now}
        lacking += _TOKEN
        self._full_at[key_id] = now + lacking
        return Quota(self._limit, (room - _TOKEN) // _TOKEN, self._seconds(lacking))

    def _seconds(self, units: int) -> float:
        return units / self._limit / _TOKEN
