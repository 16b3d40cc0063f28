"""Signed checkpoints over the events."""

from services.migrations import sql_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table; the first checkpoint covers everything from the first event on."""
    sql_file.run(__file__)
