"""Compares the tables in use with those that a rebuild made beside them: what differed is what the rebuild mended.

Both are seen in one snapshot. The staged tables may lack the newest events, so streams with such events are left out.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from psycopg import Connection, sql

from projections.declaration import Projection
from projections.rebuilding.staging import SUFFIX
from projections.renewal.project import RENEWAL, with_counters

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
    SELECT n.subscription_id, o.state, n.state, b.version, b.used_credits, b.reversed_credits
    FROM {old} AS o JOIN {new} AS n USING (subscription_id) JOIN {new_balance} AS b USING (subscription_id)
    WHERE o.state <> n.state AND NOT subscription_id = ANY(%(stale)s)
    ORDER BY subscription_id
""")


class RowDifference(Struct, frozen=True):
    """Rows of a table in use that were not what the events say: `missing`, `surplus` or `changed`."""

    table: str
    kind: Literal["missing", "surplus", "changed"]
    rows: int
    first_key: str


def differences(
    connection: Connection[Any], schema: str, projection: Projection, stale: Sequence[Any]
) -> list[RowDifference]:
    """How the table in use differs from the staged one, but for the stale streams, in the caller's transaction."""
    columns = [column.name for column in projection.all_columns]
    if projection == RENEWAL:
        columns.remove("state")
    table = projection.table
    stream, keys = sql.Identifier(projection.stream), _list((projection.stream, *projection.key))
    old, new = (sql.Identifier(schema, name) for name in (table, table + SUFFIX))
    found: list[RowDifference] = []
    if not _have_one_fingerprint(connection, (old, new), columns, stream, stale):
        statement = _COMPARE.format(
            stream=stream,
            keys=keys,
            old=old,
            new=new,
            old_columns=_list(columns, "o"),
            new_columns=_list(columns, "n"),
        )
        found += [RowDifference(table, *row) for row in connection.execute(statement, {"stale": stale})]
    if projection == RENEWAL:
        found += _renewal_states(connection, schema, stale)
    return found


def _have_one_fingerprint(
    connection: Connection[Any],
    tables: Sequence[sql.Identifier],
    columns: Sequence[str],
    stream: sql.Identifier,
    stale: Sequence[Any],
) -> bool:
    """Whether both tables have as many rows with the same sum of hashes: much faster to find than a difference."""
    statements = (_FINGERPRINT.format(columns=_list(columns), table=table, stream=stream) for table in tables)
    fingerprints = [connection.execute(statement, {"stale": stale}).fetchone() for statement in statements]
    return fingerprints[0] == fingerprints[1]


def _renewal_states(connection: Connection[Any], schema: str, stale: Sequence[Any]) -> list[RowDifference]:
    """States that mean something else.

    A row may have been written some charges after the change that it is there for, when both were in one transaction.
    Its bytes are then other ones, but with the counters of the balance row it is the same state.
    """
    statement = _RENEWAL_STATES.format(
        old=sql.Identifier(schema, "renewal"),
        new=sql.Identifier(schema, "renewal" + SUFFIX),
        new_balance=sql.Identifier(schema, "balance" + SUFFIX),
    )
    changed = 0
    first_key = ""
    with connection.cursor("renewal_states") as cursor:
        for id, old, new, version, used, reversed_credits in cursor.execute(statement, {"stale": stale}):
            counters = {"version": version, "used_credits": used, "reversed_credits": reversed_credits}
            if not _means(old, new, counters):
                changed += 1
                first_key = first_key or str(id)
    return [RowDifference("renewal", "changed", changed, first_key)] if changed else []


def _means(old: bytes, new: bytes, counters: dict[str, int]) -> bool:
    try:
        return with_counters(old, **counters) == with_counters(new, **counters)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _list(names: Sequence[str], alias: str | None = None) -> sql.Composed:
    prefix = (alias,) if alias else ()
    return sql.SQL(", ").join(sql.Identifier(*prefix, name) for name in names)
