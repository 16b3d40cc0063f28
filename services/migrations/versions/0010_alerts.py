"""The thresholds that a subscription has crossed."""

from services.migrations import sql_file

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add their column."""
    sql_file.run(__file__)
