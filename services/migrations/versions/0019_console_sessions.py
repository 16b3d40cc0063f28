"""The sessions of the console."""

from services.migrations import sql_file

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Make their table."""
    sql_file.run(__file__)
