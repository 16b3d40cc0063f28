"""Named queries are read from a `.sql` file; bad files and schemas are refused."""

from pathlib import Path

import pytest

from services.postgres.sql import NamedQuery, load_queries, parse_queries, quote_schema

TWO_QUERIES = """\
-- The balances of a ledger.

-- name: lock_balances
-- Locks the rows of a batch,
-- 100% of them, in id order.
SELECT subscription_id FROM {schema}.balance -- by key
WHERE subscription_id = ANY(%(ids)s)
FOR UPDATE;

-- What follows is for reads.
-- name: balance_row

SELECT '{}'::jsonb, s FROM {schema}.a JOIN {schema}.b USING (s) WHERE s = %s
"""


@pytest.fixture
def module(tmp_path: Path) -> str:
    """The `__file__` of a module with a file of two queries beside it."""
    (tmp_path / "balance.sql").write_text(TWO_QUERIES, encoding="utf-8")
    return str(tmp_path / "queries.py")


def test_a_file_is_its_named_queries_in_order() -> None:
    assert parse_queries(TWO_QUERIES, "balance.sql") == [
        NamedQuery(
            name="lock_balances",
            documentation="Locks the rows of a batch, 100% of them, in id order.",
            statement="SELECT subscription_id FROM {schema}.balance -- by key\n"
            "WHERE subscription_id = ANY(%(ids)s)\nFOR UPDATE;",
        ),
        NamedQuery(
            name="balance_row",
            documentation="",
            statement="SELECT '{}'::jsonb, s FROM {schema}.a JOIN {schema}.b USING (s) WHERE s = %s",
        ),
    ]


def test_the_schema_is_quoted_everywhere_and_nothing_else_changes(module: str) -> None:
    queries = load_queries(module, "balance.sql", schema="ledger_1")

    assert list(queries) == ["lock_balances", "balance_row"]
    assert queries["balance_row"] == (
        b"""SELECT '{}'::jsonb, s FROM "ledger_1".a JOIN "ledger_1".b USING (s) WHERE s = %s"""
    )


def test_each_ledger_has_its_own_queries(module: str) -> None:
    one, other = (load_queries(module, "balance.sql", schema=schema) for schema in ("one", "other"))

    assert one["lock_balances"].replace(b'"one"', b'"other"') == other["lock_balances"]
    assert one != other


def test_a_package_finds_the_files_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_with_queries"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "q.sql").write_text("-- name: one\nSELECT 1", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    assert load_queries("package_with_queries", "q.sql", schema="ledger") == {"one": b"SELECT 1"}


def test_an_unknown_name_is_an_error_that_names_the_file(module: str) -> None:
    queries = load_queries(module, "balance.sql", schema="ledger")

    with pytest.raises(KeyError, match=r"no query 'lock_balance' in balance\.sql"):
        queries["lock_balance"]
    assert "lock_balance" not in queries


def test_a_missing_file_is_an_error_that_names_it(module: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"charges\.sql"):
        load_queries(module, "charges.sql", schema="ledger")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("SELECT 1\n-- name: one\nSELECT 1", "before the first name", id="before the first name"),
        pytest.param("SELECT 1", "before the first name", id="no name at all"),
        pytest.param("-- name: a\nSELECT 1\n-- name: a\nSELECT 2", r"q\.sql:3: .*'a' is used twice", id="twice"),
        pytest.param("-- name: a\n-- nothing\n\n-- name: b\nSELECT 1", "'a' has no statement", id="no statement"),
        pytest.param("-- name: a", "'a' has no statement", id="an end instead of a statement"),
        pytest.param("-- name: Lock-Balances\nSELECT 1", "not a query name", id="not snake_case"),
        pytest.param("-- name:\nSELECT 1", "not a query name", id="empty name"),
    ],
)
def test_a_file_that_would_lose_a_query_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_queries(text, "q.sql")


@pytest.mark.parametrize("schema", ["a", "_private", "ledger_0001", "x" * 63])
def test_a_plain_name_is_a_schema(schema: str) -> None:
    assert quote_schema(schema) == f'"{schema}"'


@pytest.mark.parametrize(
    "schema",
    ["", "1st", "Ledger", "led ger", "ledger\n", 'ledger"; DROP TABLE x; --', "größe", "%s", "x" * 64],
)
def test_any_other_name_is_refused(schema: str) -> None:
    with pytest.raises(ValueError, match="not a schema name"):
        quote_schema(schema)
