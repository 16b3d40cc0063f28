"""Which revisions the schema of a ledger lacks.

Every command and every process checks this, and Alembic, which only `migrate` needs, takes longer to import than the
check takes. So it is read here from the file names and from Alembic's table.
"""

from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from services.postgres.sql import quote_schema


def missing_revisions(database_url: str, schema: str) -> list[str]:
    """The revisions that `migrate` would apply; empty where the schema is up to date. Raises psycopg.Error."""
    with psycopg.connect(database_url) as connection:
        return missing_on(connection, schema)


def missing_on(connection: Connection[Any], schema: str) -> list[str]:
    """The same on a connection, within its transaction."""
    revisions = sorted(path.name.partition("_")[0] for path in Path(__file__).parent.glob("versions/[0-9]*.py"))
    table = f"{quote_schema(schema)}.alembic_version"
    is_there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone() == (True,)
    applied = connection.execute(f"SELECT version_num FROM {table}".encode()).fetchone() if is_there else None  # noqa: S608
    return revisions if applied is None else revisions[revisions.index(applied[0]) + 1 :]
