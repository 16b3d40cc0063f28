"""Every column of every table: a change of it is found by `verify`, or the page on tamper evidence says that it is not.

A table or a column that is new fails here until it is either.
"""

from pathlib import Path

import psycopg
from psycopg import sql

from tests.integration.audit.sound import SealedLedger

PAGE = Path(__file__).parents[3] / "docs/explanation/tamper-evidence.md"
COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'tallystick'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY 1, 2
"""
CHANGES = {
    "bigint": "coalesce({column}, 0) + 1000000",
    "smallint": "{column} + 1",
    "text": "coalesce({column}, '') || 'x'",
    "bytea": "set_byte({column}, length({column}) - 1, get_byte({column}, length({column}) - 1) # 1)",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "coalesce({column}, now()) + interval '1 second'",
    "date": "{column} + 1",
    "boolean": "NOT {column}",
    "jsonb": "{column} || '{{\"count\": 77}}'",
    "text[]": "{column} || ARRAY['x']",
    "character varying": "{column} || 'x'",
}
NOT_COVERED_TABLES = {
    *(
        "console_sessions",
        "api_keys",
        "api_key_changes",
        "idempotent_answers",
        "test_clocks",
        "rate_cards",
        "log_sealing",
        "alembic_version",
    ),
    *("webhooks", "webhook_hold_ups", "webhook_outcomes", "webhook_notices", "webhook_marks"),
}
NOT_COVERED_COLUMNS = {
    "ledger_snapshots.topic",
    "log_keys.number",
    "log_checkpoints.signed_at",
    "projection_positions.stopped_at_position",
    "projection_positions.stopped_because",
    "refusal_numbers.refusal_id",
    "refusals.refusal_id",
}
NEEDS_A_WITNESS = "log_cosignatures"
"""Checked where the key of the witness is known (`test_cosignatures_are_checked_where_the_witness_is_known`)."""


def test_a_change_of_any_column_is_found_or_listed_as_not_covered(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        columns = connection.execute(COLUMNS).fetchall()
    missed = set[str]()
    for table, column, kind in columns:
        if table in NOT_COVERED_TABLES | {NEEDS_A_WITNESS}:
            continue
        with sealed.tampering() as connection:
            change = sql.SQL(CHANGES[kind]).format(column=sql.Identifier(column))
            update = sql.SQL(
                "UPDATE tallystick.{} SET {} = {} WHERE ctid = (SELECT min(ctid) FROM tallystick.{})"
            ).format(sql.Identifier(table), sql.Identifier(column), change, sql.Identifier(table))
            try:
                changed = connection.execute(update).rowcount
            except psycopg.IntegrityError:
                continue  # the database itself refuses it
            assert changed == 1, f"there is no row in {table}"
            if sealed.check(connection).holds:
                missed.add(f"{table}.{column}")
    assert missed == NOT_COVERED_COLUMNS


def test_the_page_lists_what_is_not_covered() -> None:
    page = PAGE.read_text(encoding="utf-8").replace("`tallystick.", "`")
    assert [each for each in sorted(NOT_COVERED_TABLES | NOT_COVERED_COLUMNS) if f"`{each}`" not in page] == []
