"""The function that fails a transaction which was decided on a false assumption."""

from services.migrations import sql_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the function."""
    sql_file.run(__file__)
