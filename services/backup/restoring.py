"""Makes a whole data directory of a back-up: the database, keys and seals, brought together."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from psycopg import Connection, sql

from services.backup.archive import Archive, BadBackup
from services.backup.recovering import Recovery, Target
from services.integrity.sealing.restored import bring_together
from services.integrity.sealing.seals import Seals
from services.integrity.sealing.store import LogName
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres

MakeServer = Callable[[], EmbeddedPostgres]
"""Makes the server of the data directory."""
MakeSeals = Callable[[str], Seals]
"""Makes the seals of a schema in the data directory."""


class Restored(Struct, frozen=True):
    """What was restored: the last position, and the sizes of the seals that were set aside, of each log."""

    position: int
    set_aside: Mapping[LogName, Sequence[int]]


@contextmanager
def restored(
    archive: Archive, data_dir: Path, target: Target, make_server: MakeServer, make_seals: MakeSeals
) -> Iterator[Restored]:
    """Restore into an empty data directory; its database runs as long as this context.

    What could not be restored is removed again. Raises BadBackup, EmbeddedPostgresError, SealerRefused, OSError,
    psycopg.Error.
    """
    schema = archive.manifest().schema
    if data_dir.exists() and any(data_dir.iterdir()):
        raise BadBackup(f"{data_dir} is not empty: a restore fills an empty data directory")
    is_new = not data_dir.exists()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_done = False
    try:
        for path in sorted(archive.keys.glob("*")):
            shutil.copy2(path, data_dir / path.name)
        if archive.seals.exists():
            shutil.copytree(archive.seals, data_dir / "seals")
        with Recovery(archive, schema, make_server).run(target) as server:
            with connect(server.url, autocommit=True) as connection:
                query = sql.SQL("SELECT last_id FROM {}.head").format(sql.Identifier(schema))
                (position,) = connection.execute(query).fetchone() or (0,)
                if target.position is not None and not _are_of_one_commit(
                    connection, schema, target.position, position
                ):
                    raise BadBackup(f"it was restored to position {position:,}, which is not of the commit asked for")
                aside = bring_together(connection, schema, make_seals(schema))
            is_done = True
            yield Restored(position, aside)
    finally:
        if not is_done:
            for path in data_dir.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if is_new:
                data_dir.rmdir()


def _are_of_one_commit(connection: Connection[Any], schema: str, position: int, last: int) -> bool:
    query = sql.SQL("SELECT count(*), count(DISTINCT xmin::text) FROM {}.ledger_events WHERE notification_id = ANY(%s)")
    row = connection.execute(query.format(sql.Identifier(schema)), [[position, last]]).fetchone()
    return row == (len({position, last}), 1)
