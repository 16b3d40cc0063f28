"""A bucket of N tokens a key, refilled N a second."""

import pytest

from services.http import rate_limits
from services.http.rate_limits import RateLimits


class Seconds:
    """A clock that a test sets."""

    now = 1_000_000.0

    def __call__(self) -> int:
        return round(self.now * 1_000_000_000)


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 99, 1_000, 1_000_000])
def test_a_full_bucket_has_as_many_as_its_limit(seconds: Seconds, limit: int) -> None:
    limits = RateLimits(limit, monotonic_ns=seconds)
    count = min(limit, 5_000)

    remaining = [limits.take("a").remaining for _ in range(count)]

    assert remaining == [limit - 1 - n for n in range(count)]
    if count == limit:
        refused = limits.take("a")
        assert refused.remaining == 0
        assert refused.retry_in_seconds == pytest.approx(1 / limit)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 99])
def test_a_token_comes_back_in_its_time(seconds: Seconds, limit: int) -> None:
    limits = RateLimits(limit, monotonic_ns=seconds)
    for _ in range(limit):
        limits.take("a")

    taken = 0
    for step in range(1, 10 * limit + 1):
        seconds.now = 1_000_000.0 + step / limit / 2 + 0.0001
        taken += limits.take("a").retry_in_seconds is None

    assert taken == 5 * limit


def test_a_refusal_takes_nothing(seconds: Seconds) -> None:
    limits = RateLimits(2, monotonic_ns=seconds)
    for _ in range(100):
        limits.take("a")

    seconds.now += 0.5
    assert limits.take("a").retry_in_seconds is None
    assert limits.take("a").retry_in_seconds is not None


def test_each_key_has_its_own(seconds: Seconds) -> None:
    limits = RateLimits(1, monotonic_ns=seconds)

    assert [limits.take(key).retry_in_seconds for key in ("a", "b")] == [None, None]
    assert limits.take("a").retry_in_seconds == pytest.approx(1)


def test_headers(seconds: Seconds) -> None:
    limits = RateLimits(2, monotonic_ns=seconds)
    headers = [limits.take("a").headers() for _ in range(3)]

    policy = {"ratelimit-policy": '"key";q=2;w=1'}
    assert headers == [
        {**policy, "ratelimit": '"key";r=1;t=1'},
        {**policy, "ratelimit": '"key";r=0;t=1'},
        {**policy, "ratelimit": '"key";r=0;t=1', "retry-after": "1"},
    ]


def test_full_buckets_are_forgotten(seconds: Seconds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "KEYS_MAX", 10)
    limits = RateLimits(5, monotonic_ns=seconds)
    for number in range(100):
        limits.take(f"key-{number}")
        seconds.now += 0.1

    assert len(limits._full_at) <= 10
