"""Holds: columns for what is held, for what became of each hold, and for the kind of request that was refused."""

from services.migrations import sql_file

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the columns; none of them needs a row to be written anew."""
    sql_file.run(__file__)
