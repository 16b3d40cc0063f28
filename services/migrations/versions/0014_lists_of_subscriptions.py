"""Indexes for lists of all subscriptions by plan and by status."""

from services.migrations import sql_file

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the indexes: about a second for a million subscriptions, for which charges wait."""
    sql_file.run(__file__)
