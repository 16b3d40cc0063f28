"""Runs the SQL file of a revision, for the schema that is being migrated."""

from pathlib import Path

from alembic import context, op

from services.postgres.sql import quote_schema


def run(revision_file: str) -> None:
    """Run the `.sql` file beside a revision's `.py`, with `{schema}` replaced by the ledger's schema."""
    statements = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    driver_connection = op.get_bind().connection.driver_connection
    assert driver_connection is not None
    driver_connection.execute(statements.replace("{schema}", quote_schema(context.config.attributes["schema"])))
