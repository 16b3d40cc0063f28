"""Fixtures of the write path's specifications."""

import time
from collections.abc import Iterator

import pytest

from services.catalogue import Catalogue
from services.ledger import lane
from services.ledger.ledger import Ledger
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books


@pytest.fixture
def books(database_url: str) -> Books:
    """The stored rows of the test's ledger."""
    return Books(database_url)


@pytest.fixture
def other(database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Ledger]:
    """A second ledger object on the same schema: all that two processes share is the database."""
    with Ledger(database_url, SCHEMA, catalogue, clock=clock) as opened:
        yield opened


class SkippedPauses:
    """The time of a lane whose pauses take no time, but count as so much that it is soon out of patience."""

    def __init__(self) -> None:
        self._skipped_seconds = 0.0

    def reset(self) -> None:
        """Go back to the time of the clock, for commands that are submitted from now on."""
        self._skipped_seconds = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._skipped_seconds

    def sleep(self, seconds: float) -> None:
        self._skipped_seconds += seconds * lane.PATIENCE_SECONDS


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> SkippedPauses:
    """The time of lanes that give up after some attempts, however long these take."""
    pauses = SkippedPauses()
    monkeypatch.setattr(lane, "time", pauses)
    return pauses


@pytest.fixture
def speculating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes that speculate on the next batch as soon as anything is queued, take ten commands a batch, and speculate
    again two batches after a misspeculation."""
    monkeypatch.setattr(lane, "SPECULATION_THRESHOLD", 1)
    monkeypatch.setattr(lane, "BATCH_LIMIT", 10)
    monkeypatch.setattr(lane, "CAREFUL_BATCHES", 2)
