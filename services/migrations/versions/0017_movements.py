"""Movements of credits, for trial balances."""

from services.migrations import sql_file

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Make the tables, which are empty: the projector fills them."""
    sql_file.run(__file__)
