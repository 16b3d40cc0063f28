"""What the specifications of deciding share."""

import pytest

from services.catalogue import Catalogue
from tests.conftest import SettableClock
from tests.unit.ledger.in_memory import InMemoryLedger


@pytest.fixture
def ledger(catalogue: Catalogue, clock: SettableClock) -> InMemoryLedger:
    """A ledger in memory, on the packaged catalogue and a clock to set."""
    return InMemoryLedger(catalogue, clock)
