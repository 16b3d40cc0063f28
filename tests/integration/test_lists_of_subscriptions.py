"""Lists of all subscriptions by plan and by status, on a ledger with many: right, and by index."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import Connection

from projections.balance.project import BALANCE
from projections.renewal.project import RENEWAL
from projections.renewal.queries import RenewalQueries, SubscriptionFilter
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.postgres.database import connect
from services.subscription.commands import (
    CancelSubscription,
    Command,
    ScheduleDowngrade,
    StartSubscription,
    SuspendSubscription,
)
from tests.conftest import SCHEMA, SettableClock

COMMON, RARE = "ai-suite-40000-monthly", "ai-starter-7500-monthly"
NOBODY = UUID(int=0)
COPIES = 30_000
BY = Metadata("key-1", "request-1")


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection[Any]]:
    with connect(database_url, autocommit=True) as opened:
        yield opened


def started(ledger: Ledger, plan_id: str, *commands: Command) -> UUID:
    id = uuid4()
    for command in (StartSubscription("account-1", plan_id), *commands):
        ledger.execute(id, command, BY)
    return id


def add_copies(connection: Connection[Any], id: UUID, count: int) -> None:
    """Add subscriptions like that one, as far as these two tables go, and let the planner know of them."""
    ids = [uuid4() for _ in range(count)]
    for projection in (BALANCE, RENEWAL):
        columns = ", ".join(column.name for column in projection.columns if column.name != "subscription_id")
        connection.execute(
            f"INSERT INTO {SCHEMA}.{projection.table} (subscription_id, {columns})"
            f" SELECT copy, {columns} FROM {SCHEMA}.{projection.table}, unnest(%s::uuid[]) AS copy"
            " WHERE subscription_id = %s".encode(),
            (ids, id),
        )
    connection.execute(f"VACUUM ANALYZE {SCHEMA}.balance, {SCHEMA}.renewal".encode())


class Explained:
    """Stands for a connection, and keeps how PostgreSQL carried out what came last."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self.plan: dict[str, Any] = {}

    def execute(self, query: bytes, arguments: Any) -> list[Any]:
        with psycopg.ClientCursor(self._connection) as cursor:
            cursor.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query, arguments)
            ((found,),) = cursor.fetchall()
        self.plan = found[0]["Plan"]
        return []


def scanned_as_a_whole(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the tables that a plan reads from the first row to the last."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for each in plan.get("Plans", ()):
        yield from scanned_as_a_whole(each)


@pytest.mark.parametrize(
    "chosen",
    [
        SubscriptionFilter(),
        SubscriptionFilter(plan_id=RARE),
        SubscriptionFilter(plan_id=COMMON),
        SubscriptionFilter(plan_id="nobody-has-it"),
        SubscriptionFilter(status="suspended"),
        SubscriptionFilter(status="active"),
        SubscriptionFilter(plan_id=COMMON, status="suspended"),
        SubscriptionFilter(account_id="account-2", status="active"),
    ],
    ids=str,
)
def test_a_page_reads_few_rows_of_many(
    ledger: Ledger, clock: SettableClock, connection: Connection[Any], chosen: SubscriptionFilter
) -> None:
    add_copies(connection, started(ledger, COMMON), COPIES)
    add_copies(connection, started(ledger, RARE), 10)
    add_copies(connection, started(ledger, COMMON, SuspendSubscription("not paid")), 10)
    explained = Explained(connection)

    for after in (NOBODY, UUID(int=2**127)):
        RenewalQueries(SCHEMA).list(explained, chosen, now=clock(), after=after, limit=101)  # type: ignore[arg-type]

        plan = explained.plan
        assert {*scanned_as_a_whole(plan)} <= {"test_clocks"}, "of which there are none"
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 1_500


def test_a_list_has_what_is_due_as_well_in_the_order_of_ids(
    ledger: Ledger, clock: SettableClock, connection: Connection[Any]
) -> None:
    """The next page begins where the last one ended, whichever index found it."""
    common = {started(ledger, COMMON) for _ in range(5)}
    leaving = {started(ledger, COMMON, ScheduleDowngrade(RARE)) for _ in range(3)}
    rare = {started(ledger, RARE) for _ in range(4)}
    ended = started(ledger, RARE, CancelSubscription("now"))
    queries = RenewalQueries(SCHEMA)

    def listed(chosen: SubscriptionFilter, now: datetime) -> list[UUID]:
        ids: list[UUID] = []
        while page := queries.list(connection, chosen, now=now, after=ids[-1] if ids else NOBODY, limit=2):
            ids += [each.subscription_id for each in page]
        return ids

    now, later = clock(), clock() + timedelta(days=40)
    everybody = sorted(common | leaving | rare)
    assert listed(SubscriptionFilter(plan_id=RARE), now) == sorted(rare | {ended})
    assert listed(SubscriptionFilter(plan_id=RARE, status="active"), now) == sorted(rare)
    assert listed(SubscriptionFilter(status="ended"), now) == [ended]
    assert listed(SubscriptionFilter(status="active"), now) == everybody
    assert listed(SubscriptionFilter(plan_id=RARE), later) == sorted({*everybody, ended})
    assert listed(SubscriptionFilter(status="cancelling"), later) == everybody
