"""Runs SQL files that are written for any schema."""

from pathlib import Path

from alembic import context, op
from sqlalchemy import Connection

from services.postgres.sql import quote_schema


def run(revision_file: str) -> None:
    """Run the `.sql` file beside a revision's `.py`, for the schema that is being migrated."""
    run_file(op.get_bind(), Path(revision_file).with_suffix(".sql"), context.config.attributes["schema"])


def run_file(connection: Connection, path: Path, schema: str) -> None:
    """Run a file with `{schema}` replaced by the schema's name. Raises psycopg.Error."""
    driver_connection = connection.connection.driver_connection
    assert driver_connection is not None
    driver_connection.execute(path.read_text(encoding="utf-8").replace("{schema}", quote_schema(schema)))
