"""The description of the schema, with which `verify` compares, is that of what the migrations make."""

from pathlib import Path

import pytest

import services.migrations
from services.migrations.description import as_text, describe
from services.migrations.migrate import migrate
from services.postgres.database import connect
from tests.conftest import SCHEMA

FILE = Path(services.migrations.__file__).parent / "schema.txt"


@pytest.mark.parametrize("schema", [SCHEMA, "ledger_2"])
def test_the_description_is_that_of_the_migrations(database_url: str, schema: str) -> None:
    migrate(database_url, schema)
    with connect(database_url) as connection:
        described = as_text(describe(connection, schema))
    assert described == FILE.read_text(encoding="utf-8"), "after a migration: make schema"
