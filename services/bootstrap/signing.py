"""Finds the key that signs checkpoints and their receipts, both outside the database, and makes the sealer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from services.bootstrap.database import connect_migrated
from services.config import Settings
from services.integrity.receipts import Receipts
from services.integrity.sealer import Sealer
from services.integrity.signing import KeyFile
from services.ledger.ledger import utc_now


def key_file_of(settings: Settings) -> KeyFile:
    """The file of the key that signs checkpoints and evidence."""
    return KeyFile(settings.signing_key or settings.data_dir / "signing.key")


def receipts_of(settings: Settings) -> Receipts:
    """The receipts of checkpoints: by schema, since a copy of a ledger in another one has fewer."""
    return Receipts(settings.data_dir / "checkpoints" / settings.db_schema)


def sealer_of(settings: Settings) -> Sealer:
    """The sealer of the configured ledger."""
    return Sealer(settings.db_schema, key_file_of(settings), receipts_of(settings), utc_now)


@contextmanager
def open_sealer(settings: Settings) -> Iterator[tuple[Sealer, Connection[Any]]]:
    """The sealer, and a connection to make checkpoints on. Raises NoDatabase, NotMigrated."""
    with connect_migrated(settings) as connection:
        yield sealer_of(settings), connection
