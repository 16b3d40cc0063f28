"""Describes a schema: its tables, columns, keys, constraints, triggers, functions, owners and grants, a line each.

`schema.txt` is the description of what the migrations make, the same on every version of PostgreSQL and under every
name of the schema. `make schema` writes it.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct
from psycopg import Connection

from services.migrations import SERVICE_ROLE
from services.postgres.sql import load_queries, quote_schema

GRANTS = "grant"
Description = Mapping[tuple[str, str], str]
"""By kind and name of a part, how it is defined."""


class SchemaDifference(Struct, frozen=True):
    """A part that is not as the migrations made it; None where it is not there, or should not be."""

    kind: str
    name: str
    found: str | None
    expected: str | None

    def __str__(self) -> str:
        if self.found is None:
            return f"is not there: {self.expected}"
        if self.expected is None:
            return f"is there, and no migration made it: {self.found}"
        return f"is {self.found}, not {self.expected}"


def describe(connection: Connection[Any], schema: str) -> Description:
    """Describe a schema, in the caller's transaction, whose search path is the caller's again afterwards."""
    queries = load_queries(__file__, "description.sql", schema=schema)
    (before,) = connection.execute("SHOW search_path").fetchone() or ("",)
    connection.execute(queries["set_search_path"], {"schema": quote_schema(schema)})
    rows = connection.execute(queries["describe"], {"name": schema, "role": SERVICE_ROLE}).fetchall()
    connection.execute(queries["set_search_path"], {"schema": before})
    return {(kind, name): definition for kind, name, definition in rows}


def has_service_role(connection: Connection[Any], schema: str) -> bool:
    """Whether the role of the service is there; where it could not be made, nothing is granted to it."""
    queries = load_queries(__file__, "description.sql", schema=schema)
    return connection.execute(queries["has_role"], {"role": SERVICE_ROLE}).fetchone() == (True,)


@cache
def expected_description() -> Description:
    """What the migrations make."""
    lines = (Path(__file__).parent / "schema.txt").read_text(encoding="utf-8").splitlines()
    parts = (line.split("\t") for line in lines if not line.startswith("#"))
    return {(kind, name): definition for kind, name, definition in parts}


def differences(connection: Connection[Any], schema: str) -> Iterator[SchemaDifference]:
    """Yield what is not as the migrations made it, tables first. What a missing role would have is no difference."""
    found, expected = describe(connection, schema), expected_description()
    if not has_service_role(connection, schema):
        expected = {part: definition for part, definition in expected.items() if part[0] != GRANTS}
    for kind, name in sorted({*found, *expected}, key=lambda part: (part[0] != "table", part)):
        one, other = found.get((kind, name)), expected.get((kind, name))
        if one != other:
            yield SchemaDifference(kind, name, one, other)


def as_text(description: Description) -> str:
    """The text of a description, as `schema.txt` has it."""
    lines = [f"{kind}\t{name}\t{definition}" for (kind, name), definition in description.items()]
    return "\n".join(
        ["# What the migrations make. Written by `make schema`; `tallystick verify` compares with it.", *lines, ""]
    )
