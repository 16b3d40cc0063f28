"""What tests of the sealer share."""

from pathlib import Path
from typing import Any

from psycopg import Connection

from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.signing import KeyFile
from services.ledger.recorder import COLUMNS, chained_event
from services.log.checkpoint import Checkpoint
from services.log.note import Note
from tests.conftest import SCHEMA, SettableClock


def sealer_in(folder: Path, clock: SettableClock, origin: str | None = None) -> Sealer:
    """A sealer whose key and seals lie in a folder."""
    return Sealer(SCHEMA, KeyFile(folder / "signing.key"), Seals(folder / "seals"), origin, clock)


def sealed(note: Note | None) -> Checkpoint:
    """What a note says, which must be there."""
    assert note is not None
    return Checkpoint.parse(note.text)


def hashes(connection: Connection[Any]) -> list[bytes]:
    """The hashes of all events, in the order of the ledger."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM tallystick.ledger_events ORDER BY notification_id")
    return [chained_event(row).hash for row in rows]


def as_owner(connection: Connection[Any], *statements: str) -> None:
    """What whoever owns the database can do: no trigger keeps him from it."""
    connection.execute("SET session_replication_role = replica")
    for statement in statements:
        connection.execute(statement)
    connection.execute("RESET session_replication_role")
