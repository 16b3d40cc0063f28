"""Brings seals and a database that was restored together.

The database may be behind the seals: later ones are set aside, and the sealer waits. Or it may have notes that were
signed a moment after the seals were copied: they are valid and follow on them, and are taken.
"""

from typing import Any

from psycopg import Connection, sql

from services.integrity.sealing.seals import Life, Seals, origin_of
from services.integrity.sealing.store import EVENTS, LOGS, LogName, LogStore
from services.log.note import Note

_PAGE = 1_000
_EVENTS = "SELECT last_id FROM {}.head"
_REFUSALS = "SELECT count(*) FROM {}.refusals"


def bring_together(connection: Connection[Any], schema: str, seals: Seals) -> dict[LogName, list[int]]:
    """Bring both together; return the sizes of the seals that were set aside, of each log.

    Raises SealerRefused for notes in the database that do not follow on the seals, OSError, psycopg.Error.
    """
    with seals.locked():
        life = seals.life()
        if life is None:
            return {log: [] for log in LOGS}
        return {log: _bring_together(connection, schema, life, log) for log in LOGS}


def _bring_together(connection: Connection[Any], schema: str, life: Life, log: LogName) -> list[int]:
    query = sql.SQL(_EVENTS if log == EVENTS else _REFUSALS).format(sql.Identifier(schema))
    (size,) = connection.execute(query).fetchone() or (0,)
    aside = life.set_aside(log, beyond=size)
    sealed = [str(note) for note in life.files[log].notes()]
    newer = _newer(LogStore(schema, log), connection, origin_of(life.origin, log), set(sealed))
    for note in newer:
        life.files[log].append(Note.parse(note))
    latest = LogStore(schema, log).latest(connection)
    signed = [*sealed, *newer]
    is_there = latest is not None and latest.signed_note in signed
    life.set_published(log, signed.index(latest.signed_note) + 1 if latest is not None and is_there else 0)
    return aside


def _newer(store: LogStore, connection: Connection[Any], origin: str, sealed: set[str]) -> list[str]:
    """The stored notes of an origin behind the newest that is sealed, oldest first."""
    newer: list[str] = []
    before: int | None = None
    while True:
        place = {} if before is None else {"before": before}
        page = store.newest_first(connection, limit=_PAGE, **place)
        for each in page:
            if each.origin != origin or each.signed_note in sealed:
                return newer[::-1]
            newer.append(each.signed_note)
        if len(page) < _PAGE:
            return newer[::-1]
        before = page[-1].number
