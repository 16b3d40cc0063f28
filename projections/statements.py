"""The SQL that writes the rows of a projection, generated from its declaration.

A statement takes many rows, as one array per column. `suffix` is the end of the table's name, for a rebuild's tables.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, LiteralString, Protocol
from uuid import UUID

from msgspec import Struct
from psycopg import sql
from psycopg.adapt import PyFormat

from projections.declaration import Column, Projection, StateRows, Sums, columns_of
from services.postgres.arrays import Array, Bigints, Blobs, Instants, Texts, Uuids

_ARRAYS: Mapping[str, type[Array]] = {
    "uuid": Uuids,
    "int8": Bigints,
    "text": Texts,
    "timestamptz": Instants,
    "bytea": Blobs,
}


_INSERT = sql.SQL("INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays})")
_UPSERT = sql.SQL("""
    INSERT INTO {table} AS t ({columns}) SELECT * FROM unnest({arrays}) AS r ({columns})
    ORDER BY {keys} ON CONFLICT ({keys}) DO UPDATE SET {sets}
""")
"""In key order, so that two writers never deadlock."""
_CHANGE = sql.SQL("UPDATE {table} AS t SET {sets} FROM unnest({arrays}) AS r ({columns}) WHERE {same_key}")
_ADD_UP = sql.SQL("INSERT INTO {table} ({columns}) SELECT {keys}, {sums} FROM {parts} GROUP BY {keys}")
_COPY = sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")


class Executor(Protocol):
    """A connection, or the session of the writer lane."""

    def execute(self, query: bytes, arguments: Mapping[str, Any], /) -> Any:
        """Run a statement with named arguments. Raises psycopg.Error."""


class RowStatement:
    """A statement that takes rows; `columns` are the ones it takes, the stream's id first."""

    def __init__(self, text: bytes, columns: Sequence[Column]) -> None:
        self.text = text
        stream, *rest = columns
        self._stream = stream.name
        self._rest = [(each.name, attrgetter(each.name), _array_type(each) or list) for each in rest]

    def run(self, executor: Executor, ids: Sequence[UUID], rows: Sequence[Struct]) -> None:
        """Run it with rows; `ids` are those of their streams. Raises psycopg.Error."""
        arguments: dict[str, Any] = {self._stream: Uuids(ids)}
        for name, value_of, make_array in self._rest:
            arguments[name] = make_array(list(map(value_of, rows)))
        executor.execute(self.text, arguments)


class CopyStatement(Struct, frozen=True):
    """A `COPY ... FROM STDIN (FORMAT binary)` and the types of its columns; the stream's id goes in as bytes."""

    text: bytes
    types: Sequence[str]


def insert(projection: Projection, schema: str, suffix: str = "") -> RowStatement:
    """Make the statement that inserts new rows."""
    return _row_statement(_INSERT, projection, projection.columns, schema, suffix)


def upsert(projection: StateRows, schema: str, suffix: str = "") -> RowStatement:
    """Make the statement that inserts rows, or replaces the ones with the same key."""
    return _row_statement(_UPSERT, projection, projection.columns, schema, suffix, "{column} = EXCLUDED.{column}")


def add(projection: Sums, schema: str, suffix: str = "") -> RowStatement:
    """Make the statement that inserts rows, or adds them to the ones with the same key."""
    sets = "{column} = t.{column} + EXCLUDED.{column}"
    return _row_statement(_UPSERT, projection, projection.columns, schema, suffix, sets)


def change(projection: Projection, kind: type[Struct], schema: str, suffix: str = "") -> RowStatement:
    """Make the statement that applies changes of one kind to their rows."""
    columns = projection.columns[0], *columns_of(kind)
    return _row_statement(_CHANGE, projection, columns, schema, suffix, "{column} = r.{column}")


def add_up(projection: Sums, schema: str, *, parts: str, into: str) -> bytes:
    """Make the statement that adds up the rows of one table in another; `parts` and `into` are their suffixes."""
    keys, sums = _key_and_others(projection, projection.columns)
    statement = _ADD_UP.format(
        table=sql.Identifier(schema, projection.table + into),
        columns=_list("{column}", (*keys, *sums)),
        keys=_list("{column}", keys),
        sums=_list("sum({column})", sums),
        parts=sql.Identifier(schema, projection.table + parts),
    )
    return statement.as_bytes(None)


def copy(projection: Projection, schema: str, suffix: str = "") -> CopyStatement:
    """Make the statement that copies new rows in."""
    stream, *columns = projection.columns
    table = sql.Identifier(schema, projection.table + suffix)
    statement = _COPY.format(table=table, columns=_list("{column}", (stream, *columns)))
    return CopyStatement(statement.as_bytes(None), ("bytea", *(column.type for column in columns)))


def _row_statement(
    template: sql.SQL,
    projection: Projection,
    columns: Sequence[Column],
    schema: str,
    suffix: str,
    sets: LiteralString = "",
) -> RowStatement:
    keys, others = _key_and_others(projection, columns)
    statement = template.format(
        table=sql.Identifier(schema, projection.table + suffix),
        columns=_list("{column}", columns),
        arrays=sql.SQL(", ").join(map(_placeholder, columns)),
        keys=_list("{column}", keys),
        sets=_list(sets, others),
        same_key=_list("t.{column} = r.{column}", keys, " AND "),
    )
    return RowStatement(statement.as_bytes(None), columns)


def _key_and_others(projection: Projection, columns: Sequence[Column]) -> tuple[list[Column], list[Column]]:
    names = projection.stream, *projection.key
    return [each for each in columns if each.name in names], [each for each in columns if each.name not in names]


def _list(form: LiteralString, columns: Sequence[Column], separator: LiteralString = ", ") -> sql.Composed:
    return sql.SQL(separator).join(sql.SQL(form).format(column=sql.Identifier(each.name)) for each in columns)


def _placeholder(column: Column) -> sql.Composed:
    form = PyFormat.BINARY if _array_type(column) else PyFormat.AUTO
    return sql.SQL("{}::{}[]").format(sql.Placeholder(column.name, form), sql.SQL(column.type))


def _array_type(column: Column) -> type[Array] | None:
    """Find the binary form of its arrays; None for a nullable column, since no element of an `Array` may be None."""
    return None if column.is_nullable else _ARRAYS.get(column.type)
