"""Fixtures of the write path's specifications."""

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


@pytest.fixture
def speculating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes that speculate on the next batch as soon as anything is queued, take ten commands a batch, and speculate
    again two batches after a misspeculation."""
    monkeypatch.setattr(lane, "SPECULATION_THRESHOLD", 1)
    monkeypatch.setattr(lane, "BATCH_LIMIT", 10)
    monkeypatch.setattr(lane, "CAREFUL_BATCHES", 2)
