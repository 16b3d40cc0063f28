"""No checkpoints beside the log."""

from services.migrations import sql_file

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Drop the table; a program of before signs nothing from now on, and charges as before."""
    sql_file.run(__file__)
