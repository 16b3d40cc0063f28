"""A sound ledger under checkpoints, which tests of `verify` change within a transaction that is rolled back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import Connection

from projections.engine import Engine
from projections.movements.blocks import Blocks
from services.catalogue import Catalogue
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.signing import KeyFile
from services.integrity.verify.trust import Trust, trust_in
from services.integrity.verify.verification import Verification, VerificationResult
from services.ledger.ledger import Ledger
from services.ledger.mapper import decode_event
from services.postgres.database import connect
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import Lives
from tests.waiting import PATIENCE_SECONDS


class SealedLedger:
    """A sound ledger under three checkpoints, with its key and seals outside the database."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.folder = folder
        self.key_file = KeyFile(folder / "signing.key")

    def trust(self) -> Trust:
        key = self.key_file.read()
        return trust_in(key.public_key if key else None, Seals(self.folder / "seals" / SCHEMA))

    @contextmanager
    def tampering(self) -> Iterator[Connection[Any]]:
        """Open a transaction without triggers, which is rolled back at the end."""
        with connect(self.database_url) as connection:
            connection.execute("SET LOCAL session_replication_role = replica")
            yield connection
            connection.rollback()

    def check(self, connection: Connection[Any]) -> VerificationResult:
        return Verification(SCHEMA, self.trust()).check(connection)


def fill(sealed: SealedLedger, catalogue: Catalogue) -> None:
    clock = SettableClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    sealer = Sealer(SCHEMA, sealed.key_file, Seals(sealed.folder / "seals" / SCHEMA), None, clock)
    projector = Engine(lambda: connect(sealed.database_url), SCHEMA, decode_event)
    with (
        Ledger(sealed.database_url, SCHEMA, catalogue, clock=clock, snapshot_interval=10) as ledger,
        connect(sealed.database_url, autocommit=True) as connection,
    ):
        lives = Lives(ledger, clock, seed=7)
        lives.start(6)
        for steps in (100, 80, 60):
            lives.go_on(steps)
            sealer.seal(connection)
        assert projector.catch_up(connection, timeout_seconds=PATIENCE_SECONDS)
        assert Blocks(SCHEMA).fill(connection, rows=60)


def first_of(verified: VerificationResult) -> str:
    return str(verified.findings[0])


def reasons_of(verified: VerificationResult) -> str:
    return "\n".join(map(str, verified.findings))
