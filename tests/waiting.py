"""Waiting for what is bound to happen, however slow the machine is."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 120
"""How long anything may take. A test fails then; that it passes never depends on how fast something was."""

_POLL_SECONDS = 0.01

T = TypeVar("T")


def wait_until(condition: Callable[[], T]) -> T:
    """Wait until the condition holds, and return its value. Raises AssertionError when that takes too long."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < give_up_at, f"not so within {PATIENCE_SECONDS} s"
        time.sleep(_POLL_SECONDS)
    return value
