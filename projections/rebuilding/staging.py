"""Staged tables: made like the ones in use, filled beside them, then swapped in.

`balance` is staged as `balance_rebuilt`. Its indexes are made after its rows, which is faster. The swap drops the old
table and renames the new one and its indexes, so that the new one has the same definition.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import Connection, sql

from services.postgres.sql import load_queries, quote_schema

SUFFIX = "_rebuilt"
PARTS = "_parts"
"""Follows `SUFFIX` in the name of a table that holds parts of sums until they are added up."""


class Staging:
    """Makes, swaps and drops the staged tables of one schema. Every method raises psycopg.Error."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._queries = load_queries(__file__, "staging.sql", schema=schema)

    def make(self, connection: Connection[Any], table: str) -> None:
        """Make an empty staged table, without indexes, in the place of one that an interrupted rebuild left."""
        old, new = self._name(table), self._name(table + SUFFIX)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(new))
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)").format(
                new, old
            )
        )
        (options,) = self._one(connection, "table_options", table)
        if options:
            settings = sql.SQL(", ").join(map(_option, options))
            connection.execute(sql.SQL("ALTER TABLE {} SET ({})").format(new, settings))
        for grantee, privilege in self._all(connection, "table_grants", table):
            grant = sql.SQL("GRANT {} ON {} TO {}")
            connection.execute(grant.format(sql.SQL(privilege), new, sql.Identifier(grantee)))

    def make_parts(self, connection: Connection[Any], table: str) -> None:
        """Make an empty table for parts of the sums of a staged table."""
        parts = self._name(table + SUFFIX + PARTS)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(parts))
        connection.execute(sql.SQL("CREATE UNLOGGED TABLE {} (LIKE {})").format(parts, self._name(table)))

    def index(self, connection: Connection[Any], table: str) -> None:
        """Give a filled table the indexes of the one in use."""
        new = self._name(table + SUFFIX)
        for name, definition, is_unique, is_primary in self._all(connection, "table_indexes", table):
            staged = sql.Identifier(name + SUFFIX)
            create = sql.SQL("CREATE {} INDEX {} ON {} USING {}").format(
                sql.SQL("UNIQUE" if is_unique else ""), staged, new, sql.SQL(definition.split(" USING ", 1)[1])
            )
            connection.execute(create)
            if is_primary:
                attach = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY USING INDEX {}")
                connection.execute(attach.format(new, staged, staged))
        connection.execute(sql.SQL("ANALYZE {}").format(new))

    def lock(self, connection: Connection[Any], tables: Iterable[str], mode: str) -> None:
        """Lock tables in use, in the given order. Raises psycopg.errors.LockNotAvailable after the lock timeout."""
        names = sql.SQL(", ").join(map(self._name, tables))
        connection.execute(sql.SQL("LOCK TABLE {} IN {} MODE").format(names, sql.SQL(mode)))

    def swap(self, connection: Connection[Any], table: str) -> None:
        """Replace the table in use by the staged one, in the caller's transaction."""
        indexes = [row[0] for row in self._all(connection, "table_indexes", table)]
        connection.execute(sql.SQL("DROP TABLE {}").format(self._name(table)))
        rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
        connection.execute(rename.format(self._name(table + SUFFIX), sql.Identifier(table)))
        for index in indexes:
            rename = sql.SQL("ALTER INDEX {} RENAME TO {}")
            connection.execute(rename.format(self._name(index + SUFFIX), sql.Identifier(index)))

    def drop(self, connection: Connection[Any], table: str) -> None:
        """Drop a staged table and its parts, if they exist."""
        names = self._name(table + SUFFIX), self._name(table + SUFFIX + PARTS)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.SQL(", ").join(names)))

    def _name(self, table: str) -> sql.Identifier:
        return sql.Identifier(self._schema, table)

    def _one(self, connection: Connection[Any], query: str, table: str) -> Sequence[Any]:
        return self._all(connection, query, table)[0]

    def _all(self, connection: Connection[Any], query: str, table: str) -> list[Sequence[Any]]:
        qualified = f"{quote_schema(self._schema)}.{table}"
        return connection.execute(self._queries[query], {"table": qualified}).fetchall()


def _option(option: str) -> sql.Composed:
    name, _, value = option.partition("=")
    return sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
