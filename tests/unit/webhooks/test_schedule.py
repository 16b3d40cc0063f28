"""When a message that failed is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from services.webhooks.schedule import PAUSES, has_failed_for_too_long, next_attempt_at

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 1), (2, 5), (3, 30), (4, 300), (5, 1_800), (6, 7_200), (7, 21_600), (8, 43_200), (9, 86_400), (10, 86_400)],
)
def test_the_pauses_grow_and_spread(attempts: int, seconds: int) -> None:
    assert next_attempt_at(NOW, attempts, 0.5) == NOW + timedelta(seconds=seconds)
    assert next_attempt_at(NOW, attempts, 0.0) == NOW + timedelta(seconds=seconds * 0.8)
    assert next_attempt_at(NOW, attempts, 1.0) == NOW + timedelta(seconds=seconds * 1.2)


def test_after_three_days_a_message_is_not_tried_again() -> None:
    assert next_attempt_at(NOW, 11, 0.5) is None
    assert timedelta(days=2, hours=20) < sum(PAUSES, timedelta()) < timedelta(days=3)


def test_an_endpoint_may_fail_for_less_than_a_day() -> None:
    assert not has_failed_for_too_long(None, NOW)
    assert not has_failed_for_too_long(NOW - timedelta(hours=23, minutes=59), NOW)
    assert has_failed_for_too_long(NOW - timedelta(days=1), NOW)
