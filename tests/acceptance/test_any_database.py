"""A database is somebody else's: what it, or a role, has as defaults makes no difference to anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from projections.rebuilding.rebuild import Rebuild
from services.catalogue import Catalogue
from services.integrity.verify.trust import Trust
from services.integrity.verify.verification import Verification
from services.ledger.mapper import decode_event
from services.migrations.migrate import migrate
from tests.acceptance.server import Customer, Listener, running_server
from tests.conftest import SCHEMA, SettableClock
from tests.other_postgres import OtherPostgres, programs_of_a_package

DEFAULTS = {
    "texts": {"client_encoding": "LATIN1", "standard_conforming_strings": "off", "bytea_output": "escape"},
    "encoding": {"client_encoding": "SQL_ASCII", "array_nulls": "off", "transform_null_equals": "on"},
    "instants": {"datestyle": "SQL, DMY", "timezone": "Asia/Kathmandu", "intervalstyle": "sql_standard"},
    "other instants": {"datestyle": "German", "timezone": "Etc/GMT+12", "extra_float_digits": "-15"},
    "isolation": {"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"},
    "repeatable reads": {"default_transaction_isolation": "repeatable read", "synchronous_commit": "off"},
    "patience": {
        "statement_timeout": "200",
        "lock_timeout": "1",
        "idle_in_transaction_session_timeout": "1",
        "idle_session_timeout": "50",
    },
    "names": {"search_path": "nowhere", "quote_all_identifiers": "on"},
    "compiled plans": {
        "jit": "on",
        "jit_above_cost": "0",
        "jit_inline_above_cost": "0",
        "jit_optimize_above_cost": "0",
    },
    "generic plans": {"plan_cache_mode": "force_generic_plan", "debug_parallel_query": "on"},
    "custom plans": {"plan_cache_mode": "force_custom_plan"},
    "poor plans": {
        "enable_indexscan": "off",
        "enable_indexonlyscan": "off",
        "enable_bitmapscan": "off",
        "enable_nestloop": "off",
        "enable_sort": "off",
    },
}


@pytest.fixture(params=[*DEFAULTS.values()], ids=[*DEFAULTS])
def strange_url(request: pytest.FixtureRequest, database_url: str) -> str:
    """The test's database, with defaults of its own."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        known = {name for (name,) in connection.execute("SELECT lower(name) FROM pg_settings")}
        for name, value in request.param.items():
            if name not in known:
                continue  # not in this version
            setting = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(setting.format(database, sql.Identifier(name), sql.Literal(value)))
    return database_url


def test_its_defaults_make_no_difference(
    strange_url: str, listener: Listener, catalogue: Catalogue, clock: SettableClock
) -> None:
    live_and_check(strange_url, listener, catalogue, clock)


def live_and_check(url: str, listener: Listener, catalogue: Catalogue, clock: SettableClock) -> None:
    """Charge, refuse, renew; read what came of it; rebuild and verify."""
    with running_server(listener, url, catalogue, clock) as server, server.client() as http:
        customer = Customer.with_plan(http, "ai-starter-16500-monthly", account_id="Żółw & Sön 音楽 \\\\x41 '")
        first = customer.charge("lyria-3", duration_seconds=61.5)
        assert customer.try_charge("lyria-3-pro", "dear", count=1000).status_code == 402
        clock.advance(days=40)
        second = customer.charge("lyria-3")

        assert customer.balance == 16_500 - 150
        assert _read(http, f"{customer.path}/charges") == [second, first]
        events = _read(http, f"{customer.path}/events")
        assert [each["type"] for each in events][-3:] == ["CycleReset", "TermRenewed", "GenerationCharged"]
        assert events[0]["data"]["account_id"] == "Żółw & Sön 音楽 \\\\x41 '"
        assert events[0]["recorded_at"].startswith("2026-01-15T12:00:00")
        (refusal,) = _read(http, f"{customer.path}/refusals")
        assert refusal["refused_at"].startswith("2026-01-15T12:00:00")
        assert http.get("/v1/renewals", params={"before": "2027-01-01T00:00:00Z"}).json()["data"]

    assert Rebuild(url, SCHEMA, (), decode_event, processes=1).run().differences == ()
    verified = Verification(SCHEMA, Trust()).run(url, processes=1)
    assert verified.findings == ()


@pytest.fixture
def other_url(tmp_path: Path) -> Iterator[str]:
    """A ledger in a PostgreSQL of Debian, with all of its defaults."""
    programs = programs_of_a_package()
    if programs is None:
        pytest.skip("no PostgreSQL of Debian's packages is installed here")
    with OtherPostgres(tmp_path / "postgres", programs) as server:
        migrate(server.url, SCHEMA)
        yield server.url


def test_another_postgresql_with_its_defaults_does_as_well(
    other_url: str, listener: Listener, catalogue: Catalogue, clock: SettableClock
) -> None:
    live_and_check(other_url, listener, catalogue, clock)


def _read(http: httpx.Client, path: str) -> list[dict[str, Any]]:
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data
