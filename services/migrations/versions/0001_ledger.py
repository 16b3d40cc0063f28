"""The ledger: events, snapshots, inline read models, keys."""

from services.migrations import sql_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    sql_file.run(__file__)
