"""The open holds in the balance row."""

import msgspec
from alembic import context, op

from services.migrations import sql_file
from services.postgres.sql import quote_schema

revision = "0018"
down_revision = "0017"

_SELECT = """
    SELECT r.subscription_id, r.state FROM {schema}.renewal AS r JOIN {schema}.balance AS b USING (subscription_id)
    WHERE b.holds_expire_at IS NOT NULL FOR UPDATE OF b
"""
_UPDATE = "UPDATE {schema}.balance SET holds = %s WHERE subscription_id = %s"


class _State(msgspec.Struct):
    holds: msgspec.Raw


def upgrade() -> None:
    """Add the column, and move open holds there as they are in the state of the renewal row.

    A program of before goes on to write them there; reads of this version see by the sum and the first expiry which of
    the two is newer.
    """
    sql_file.run(__file__)
    schema = quote_schema(context.config.attributes["schema"])
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    rows = connection.execute(_SELECT.replace("{schema}", schema)).fetchall()
    moved = [(bytes(msgspec.json.decode(state, type=_State).holds).decode(), id) for id, state in rows]
    with connection.cursor() as cursor:
        cursor.executemany(_UPDATE.replace("{schema}", schema), moved)
