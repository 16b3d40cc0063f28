"""Reads named queries from the `.sql` file beside the code that runs them.

    -- name: lock_balances
    -- Locks the balance rows of a batch, in id order so that two batches never deadlock.
    SELECT subscription_id, version FROM {schema}.balance
    WHERE subscription_id = ANY(%(subscription_ids)s) ORDER BY subscription_id FOR UPDATE

A `-- name:` line begins a query, and the comment lines right below it document it. `{schema}` is the
ledger's schema, quoted. All else, psycopg's placeholders included, goes to PostgreSQL as it is written.
"""

import re
from dataclasses import dataclass
from importlib.resources import files
from itertools import dropwhile, takewhile
from pathlib import Path

_MARKER = re.compile(r"^[ \t]*--[ \t]*name[ \t]*:(.*)$", re.MULTILINE)
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """One query of a file. `statement` still has its `{schema}`; `documentation` may be empty."""

    name: str
    documentation: str
    statement: str


class Queries(dict[str, bytes]):
    """The statements of one file by name, for one schema, ready for `cursor.execute`.

    They are bytes because psycopg parses the placeholders of a bytes query once and remembers them.
    """

    def __init__(self, statements: dict[str, bytes], source: str, schema: str) -> None:
        super().__init__(statements)
        self.source = source
        self.schema = schema

    def __missing__(self, name: str) -> bytes:
        raise KeyError(f"no query {name!r} in {self.source}")


def load_queries(anchor: str, filename: str, *, schema: str) -> Queries:
    """The queries of `filename`, which lies beside `anchor`: a package's name or a module's `__file__`.

    Raises ValueError for a file that `parse_queries` refuses and for a schema that `quote_schema` refuses.
    """
    folder = Path(anchor).parent if anchor.endswith(".py") else files(anchor)
    text = (folder / filename).read_text(encoding="utf-8")
    quoted = quote_schema(schema)
    return Queries(
        {query.name: query.statement.replace("{schema}", quoted).encode() for query in parse_queries(text, filename)},
        filename,
        schema,
    )


def quote_schema(schema: str) -> str:
    """The schema's name as an SQL identifier. Raises ValueError unless it is short and lower-case."""
    if not _SCHEMA.fullmatch(schema):
        raise ValueError(f"not a schema name: {schema!r} (expected {_SCHEMA.pattern})")
    return f'"{schema}"'


def parse_queries(text: str, source: str) -> list[NamedQuery]:
    """The queries of a file's text, in its order; `source` names the file in errors.

    Raises ValueError for a statement before the first name, a name that is used twice or not in snake_case,
    and a name without a statement. Comments before the first name belong to the file.
    """
    header, *sections = _MARKER.split(text)
    if not all(_is_blank_or_comment(line) for line in header.split("\n")):
        raise ValueError(f"{source}: a statement before the first name")
    queries: dict[str, NamedQuery] = {}
    line_number = 1 + header.count("\n")
    for name, body in zip(map(str.strip, sections[::2]), sections[1::2], strict=True):
        where = f"{source}:{line_number}"
        if not _NAME.fullmatch(name):
            raise ValueError(f"{where}: not a query name: {name!r}")
        if name in queries:
            raise ValueError(f"{where}: the name {name!r} is used twice")
        queries[name] = _named_query(name, body.split("\n")[1:], where)
        line_number += body.count("\n")
    return list(queries.values())


def _named_query(name: str, lines: list[str], where: str) -> NamedQuery:
    """Comments right below the name are documentation; those below the statement are not part of it."""
    statement = list(dropwhile(_is_blank_or_comment, lines))
    documentation = takewhile(_is_comment, lines)
    while statement and _is_blank_or_comment(statement[-1]):
        statement.pop()
    if not statement:
        raise ValueError(f"{where}: {name!r} has no statement")
    return NamedQuery(
        name,
        " ".join(line.strip().removeprefix("--").strip() for line in documentation),
        "\n".join(statement),
    )


def _is_blank_or_comment(line: str) -> bool:
    return not line.strip() or _is_comment(line)


def _is_comment(line: str) -> bool:
    return line.strip().startswith("--")
