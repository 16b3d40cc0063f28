"""The disputes read model."""

from services.migrations import sql_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create its table."""
    sql_file.run(__file__)
