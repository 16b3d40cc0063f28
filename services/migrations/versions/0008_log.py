"""The log: tiles, signed notes, cosignatures, and the numbers of refusals."""

from services.migrations import sql_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the tables; the sealer fills them from the first event on."""
    sql_file.run(__file__)
