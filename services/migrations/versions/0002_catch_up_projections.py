"""Catch-up projections: the position of each, and the usage read model."""

from services.migrations import sql_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; the projector fills them from the first event on."""
    sql_file.run(__file__)
