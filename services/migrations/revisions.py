"""Which revisions the schema of a ledger lacks.

Every command and every process checks this, and Alembic, which only `migrate` needs, takes longer to import than the
check takes. So it is read here from the file names and from Alembic's table.
"""

from pathlib import Path
from typing import Any

from psycopg import Connection

from services.postgres.database import connect
from services.postgres.sql import quote_schema


class NewerSchema(RuntimeError):
    """The schema is of a later version of this program."""


def missing_revisions(database_url: str, schema: str) -> list[str]:
    """The revisions that `migrate` would apply; empty where the schema is up to date.

    Raises NewerSchema, psycopg.Error.
    """
    with connect(database_url) as connection:
        return missing_on(connection, schema)


def missing_on(connection: Connection[Any], schema: str) -> list[str]:
    """The same on a connection, within its transaction. Raises as `missing_revisions` does."""
    revisions = sorted(path.name.partition("_")[0] for path in Path(__file__).parent.glob("versions/[0-9]*.py"))
    table = f"{quote_schema(schema)}.alembic_version"
    is_there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone() == (True,)
    applied = connection.execute(f"SELECT version_num FROM {table}".encode()).fetchone() if is_there else None  # noqa: S608
    if applied is None:
        return revisions
    if applied[0] not in revisions:
        raise NewerSchema(
            f"the ledger's schema is at revision {applied[0]}, and this version of Tallystick knows those up to "
            f"{revisions[-1]}: run the version that migrated it, or a later one"
        )
    return revisions[revisions.index(applied[0]) + 1 :]
