"""Compares the tables in use with the staged ones: the differences are what the rebuild corrects.

Both are read in one snapshot. One of the two may lack the newest events, so streams with such events are left out.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from psycopg import Connection, sql

from projections.declaration import Projection
from projections.rebuilding.staging import SUFFIX
from projections.renewal.project import RENEWAL, Moved, with_balance

STALE_STREAMS_LIMIT = 50_000

_FINGERPRINT = sql.SQL("""
    SELECT count(*), sum(hash_record_extended(ROW({columns}), 0)) FROM {table}
    WHERE NOT {stream} = ANY(%(stale)s)
""")
_COMPARE = sql.SQL("""
    SELECT kind, count(*), min(key) FROM (
        SELECT CASE WHEN o.{stream} IS NULL THEN 'missing' WHEN n.{stream} IS NULL THEN 'surplus'
                    ELSE 'changed' END AS kind,
               concat_ws(' ', {keys}) AS key
        FROM {old} AS o FULL JOIN {new} AS n USING ({keys})
        WHERE ROW({old_columns}) IS DISTINCT FROM ROW({new_columns}) AND NOT {stream} = ANY(%(stale)s)
    ) AS differing
    GROUP BY kind ORDER BY kind
""")
_RENEWAL_STATES = sql.SQL("""
    SELECT n.subscription_id, o.state, n.state,
           b.version, b.used_credits, b.reversed_credits, b.held_credits, b.holds_expire_at, b.holds
    FROM {old} AS o JOIN {new} AS n USING (subscription_id) JOIN {new_balance} AS b USING (subscription_id)
    WHERE o.state <> n.state AND NOT subscription_id = ANY(%(stale)s)
    ORDER BY subscription_id
""")


class RowDifference(Struct, frozen=True):
    """Rows of a table in use that contradict the events: `missing`, `surplus` or `changed`."""

    table: str
    kind: Literal["missing", "surplus", "changed"]
    rows: int
    first_key: str


def differences(
    connection: Connection[Any], schema: str, projection: Projection, stale: Sequence[Any]
) -> list[RowDifference]:
    """List how the table in use differs from the staged one; the streams in `stale` are left out."""
    columns = [column.name for column in projection.all_columns]
    if projection == RENEWAL:
        columns.remove("state")
    table = projection.table
    stream, keys = sql.Identifier(projection.stream), _list((projection.stream, *projection.key))
    old, new = (sql.Identifier(schema, name) for name in (table, table + SUFFIX))
    differing: list[RowDifference] = []
    if not _fingerprints_are_equal(connection, (old, new), columns, stream, stale):
        statement = _COMPARE.format(
            stream=stream,
            keys=keys,
            old=old,
            new=new,
            old_columns=_list(columns, "o"),
            new_columns=_list(columns, "n"),
        )
        differing += [RowDifference(table, *row) for row in connection.execute(statement, {"stale": stale})]
    if projection == RENEWAL:
        differing += _renewal_states(connection, schema, stale)
    return differing


def _fingerprints_are_equal(
    connection: Connection[Any],
    tables: Sequence[sql.Identifier],
    columns: Sequence[str],
    stream: sql.Identifier,
    stale: Sequence[Any],
) -> bool:
    """Compare the numbers of rows and the sums of their hashes, which is much faster than to look for differences."""
    statements = (_FINGERPRINT.format(columns=_list(columns), table=table, stream=stream) for table in tables)
    fingerprints = [connection.execute(statement, {"stale": stale}).fetchone() for statement in statements]
    return fingerprints[0] == fingerprints[1]


def _renewal_states(connection: Connection[Any], schema: str, stale: Sequence[Any]) -> list[RowDifference]:
    """List rows with another state.

    A row may have been written some charges after the change that it is for, when both were in one transaction. Its
    bytes then differ, but with what the balance row has it is the same state.
    """
    statement = _RENEWAL_STATES.format(
        old=sql.Identifier(schema, "renewal"),
        new=sql.Identifier(schema, "renewal" + SUFFIX),
        new_balance=sql.Identifier(schema, "balance" + SUFFIX),
    )
    changed = 0
    first_key = ""
    with connection.cursor("renewal_states") as cursor:
        for id, old, new, *moved in cursor.execute(statement, {"stale": stale}):
            if not _is_same_state(old, new, Moved(*moved)):
                changed += 1
                first_key = first_key or str(id)
    return [RowDifference("renewal", "changed", changed, first_key)] if changed else []


def _is_same_state(old: bytes, new: bytes, moved: Moved) -> bool:
    try:
        return with_balance(old, moved) == with_balance(new, moved)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _list(names: Sequence[str], alias: str | None = None) -> sql.Composed:
    prefix = (alias,) if alias else ()
    return sql.SQL(", ").join(sql.Identifier(*prefix, name) for name in names)
