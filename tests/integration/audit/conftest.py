"""What tests of audit share: a ledger that lives, a connection to it, a sealer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from services.integrity.sealing.sealer import Sealer
from services.ledger.ledger import Ledger
from services.postgres.database import connect
from tests.conftest import SettableClock
from tests.integration.audit.lives import Lives
from tests.integration.audit.sealing import sealer_in


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection[Any]]:
    with connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def lives(ledger: Ledger, clock: SettableClock) -> Lives:
    lives = Lives(ledger, clock)
    lives.start(3)
    return lives


@pytest.fixture
def sealer(tmp_path: Path, clock: SettableClock) -> Sealer:
    return sealer_in(tmp_path, clock)
