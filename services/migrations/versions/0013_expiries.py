"""An index of the holds that expire next."""

from services.migrations import sql_file

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the index, over no row: a program of before knows no holds."""
    sql_file.run(__file__)
