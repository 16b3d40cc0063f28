"""What tests of audit share: a ledger that lives, a connection to it, a sealer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from services.catalogue import Catalogue
from services.integrity.sealing.sealer import Sealer
from services.ledger.ledger import Ledger
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres
from tests.conftest import TEMPLATE, SettableClock, database_like
from tests.integration.audit.lives import Lives
from tests.integration.audit.sealing import sealer_in
from tests.integration.audit.sound import SealedLedger, fill


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


@pytest.fixture(scope="session")
def sealed(
    postgres: EmbeddedPostgres, catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SealedLedger]:
    """A sound ledger that tests change only within `tampering`, or mend again, or copy."""
    with database_like(postgres, TEMPLATE) as url:
        sealed = SealedLedger(url, tmp_path_factory.mktemp("sealed"))
        fill(sealed, catalogue)
        yield sealed
