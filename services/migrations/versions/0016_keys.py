"""Keys that expire, rotate and are confined, and the history of keys."""

from services.migrations import sql_file

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the columns and the table."""
    sql_file.run(__file__)
