"""The disputed charges read model."""

from services.migrations import sql_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create its table, with a row for each dispute that there is."""
    sql_file.run(__file__)
