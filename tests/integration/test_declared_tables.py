"""The migrated schema has the tables that projections declare, column by column, and besides only the ledger's own."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from projections.declaration import Column, Projection
from projections.registry import PROJECTIONS
from services.postgres.database import connect
from tests.conftest import SCHEMA

OF_THE_LEDGER = frozenset(
    """alembic_version api_key_changes console_sessions api_keys head idempotent_answers ledger_events ledger_snapshots
    log_checkpoints log_cosignatures log_keys log_sealing log_tiles log_trees movement_blocks projection_positions
    rate_cards refusal_numbers refusals test_clocks webhook_hold_ups webhook_marks webhook_notices
    webhook_outcomes webhooks""".split()
)
"""Tables that are not made from events, and the blocks, which are made from `movements`.

A new one that is made from events belongs to a projection in `projections/registry.py`.
"""

COLUMNS = """
    SELECT a.attname, t.typname, NOT a.attnotnull
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""
PRIMARY_KEY = """
    SELECT array_agg(a.attname ORDER BY array_position(i.indkey::int2[], a.attnum))
    FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey::int2[])
    WHERE i.indrelid = %s::regclass AND i.indisprimary
"""


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection[Any]]:
    with connect(database_url) as opened:
        yield opened


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda each: each.table)
def test_a_table_is_what_its_projection_declares(connection: Connection[Any], projection: Projection) -> None:
    table = f"{SCHEMA}.{projection.table}"
    columns = {Column(*row) for row in connection.execute(COLUMNS, [table])}
    assert columns == set(projection.all_columns)
    assert connection.execute(PRIMARY_KEY, [table]).fetchone() == ([projection.stream, *projection.key],)


def test_every_table_is_the_ledgers_own_or_a_projections(connection: Connection[Any]) -> None:
    tables = {
        table for (table,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [SCHEMA])
    }
    assert tables == OF_THE_LEDGER | {each.table for each in PROJECTIONS}
