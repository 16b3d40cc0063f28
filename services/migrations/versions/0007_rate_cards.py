"""The rate cards that the ledger was opened with."""

from services.migrations import sql_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create their table, which the next start fills."""
    sql_file.run(__file__)
