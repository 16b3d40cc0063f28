"""Usage by cycle, plan and member too, and the cycles of each subscription, which the projector fills."""

from services.migrations import sql_file

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Empty usage, and have it filled anew.

    The projector of a program of before cannot write the new form and stops; that of this version goes on.
    """
    sql_file.run(__file__)
