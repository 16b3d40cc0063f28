"""Ready means able to charge: what keeps the service from charging makes it not ready, and nothing else does."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from services.http import freshness, readiness
from services.http.freshness import Shared
from services.ledger import clock_guard, lane
from tests.acceptance.server import Customer
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check at each request, and refuse as early as in production."""
    monkeypatch.setattr(freshness, "FRESH_SECONDS", -1.0)
    monkeypatch.setattr(lane, "PATIENCE_SECONDS", 0.3)


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-suite-40000-monthly")


def lacks(http: httpx.Client) -> list[str]:
    """Return the parts that are not as they must be; none where it is ready."""
    answer = http.get("/readyz")
    parts: dict[str, Any] = answer.json()
    assert (answer.status_code, parts["status"]) in {(200, "ready"), (503, "not_ready")}
    return [name for name, is_well in parts.items() if is_well is False]


@contextmanager
def defaults(database_url: str, **settings: str) -> Iterator[None]:
    """Give a database other defaults, in all sessions from now on."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        end_others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for name, value in settings.items():
            setting = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(setting.format(database, sql.Identifier(name), sql.Literal(value)))
        connection.execute(end_others)
        yield
        connection.execute("SET transaction_read_only = off")
        for name in settings:
            connection.execute(sql.SQL("ALTER DATABASE {} RESET {}").format(database, sql.Identifier(name)))
        connection.execute(end_others)


def test_a_read_only_database(http: httpx.Client, customer: Customer, database_url: str) -> None:
    with defaults(database_url, default_transaction_read_only="on"):
        assert customer.try_charge().status_code == 503
        assert lacks(http) == ["writable"]

    assert wait_until(lambda: lacks(http) == [])
    assert customer.try_charge().status_code == 201


@pytest.mark.parametrize("revision", ["9999", "0001"])
def test_a_schema_of_another_version(http: httpx.Client, database_url: str, revision: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE tallystick.alembic_version SET version_num = %s", [revision])

    assert lacks(http) == ["migrations"]


@pytest.mark.parametrize("days", [40, -40])
def test_a_clock_that_differs_decides_nothing(
    http: httpx.Client, customer: Customer, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    customer.charge("lyria-3")
    events = customer.events()
    with monkeypatch.context() as patch:
        patch.setattr(clock_guard, "CHECK_SECONDS", -1.0)
        patch.setattr(clock_guard, "machine_clock", lambda: datetime.now(UTC) + timedelta(days=days))
        assert customer.try_charge().status_code == 503
        assert http.post(f"{customer.path}/cancel", json={"when": "now"}).status_code == 503
        assert lacks(http) == ["clock"]

    assert lacks(http) == []
    assert customer.events() == events
    customer.charge("lyria-3")


@pytest.mark.parametrize("days", [40, -40])
def test_a_clock_that_is_set_decides_nothing_from_then_on(
    http: httpx.Client, customer: Customer, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """However long it is until the clocks are compared again."""
    monkeypatch.setattr(clock_guard, "CHECK_SECONDS", 3_600)
    customer.charge("lyria-3")
    events = customer.events()
    with monkeypatch.context() as patch:
        patch.setattr(clock_guard, "machine_clock", lambda: datetime.now(UTC) + timedelta(days=days))
        assert customer.try_charge().status_code == 503
        assert customer.try_charge().status_code == 503

    assert customer.events() == events
    customer.charge("lyria-3")


def test_a_lane_that_gets_nowhere(
    http: httpx.Client, customer: Customer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "STUCK_SECONDS", 0.1)
    with psycopg.connect(database_url) as holder, ThreadPoolExecutor(1) as threads:
        holder.execute("SELECT FROM tallystick.balance FOR UPDATE")
        charge = threads.submit(customer.try_charge)

        assert wait_until(lambda: lacks(http) == ["writer_lane"])

        holder.rollback()
        assert charge.result().status_code in {201, 503}
    assert lacks(http) == []


def test_the_lag_of_projections_is_shown_and_keeps_nobody_from_charging(
    http: httpx.Client, customer: Customer, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO tallystick.projection_positions (projection) VALUES ('usage')")
    customer.charge("lyria-3")

    answer = http.get("/readyz")

    assert (answer.status_code, answer.json()["projection_lag_events"]) == (200, 3)


def test_however_many_ask_it_is_checked_once() -> None:
    numbers = count(1)

    async def ask() -> list[int]:
        shared = Shared(lambda: next(numbers))
        return await asyncio.gather(*[shared.value() for _ in range(100)])

    assert asyncio.run(ask()) == [1] * 100
