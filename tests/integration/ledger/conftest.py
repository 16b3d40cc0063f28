"""What the specifications of the write path share."""

from collections.abc import Iterator

import pytest

from services.catalogue import Catalogue
from services.ledger import lane
from services.ledger.ledger import Ledger
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books


@pytest.fixture
def books(database_url: str) -> Books:
    """What is stored."""
    return Books(database_url)


@pytest.fixture
def other(database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Ledger]:
    """A second ledger object on the same schema: all that two processes share is the database."""
    with Ledger(database_url, SCHEMA, catalogue, clock=clock) as opened:
        yield opened


@pytest.fixture
def keen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes that decide ahead as soon as anything waits, in batches of ten, and try again after two careful ones."""
    monkeypatch.setattr(lane, "SPECULATION_THRESHOLD", 1)
    monkeypatch.setattr(lane, "BATCH_LIMIT", 10)
    monkeypatch.setattr(lane, "CAREFUL_BATCHES", 2)
