"""The endpoints of webhooks and their deliveries."""

from services.migrations import sql_file

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create their tables."""
    sql_file.run(__file__)
