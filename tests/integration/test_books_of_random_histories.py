"""The books of random histories: statements against the past as it was, usage against the events.

`TALLYSTICK_SEED` plays the same histories again; the long form plays 1,000 (`TALLYSTICK_HISTORIES`).
"""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import pytest
from psycopg import Connection

from projections.engine import Engine
from projections.usage.queries import UsageFilter, UsageQueries
from services.ledger.as_of import AsOf
from services.ledger.mapper import decode_event
from services.ledger.statements import Statement, Statements
from services.postgres.database import connect
from services.subscription.commands import RecordDue
from tests.conftest import SCHEMA
from tests.faults.seeds import seeded
from tests.integration.test_random_histories import LONG, SHORT, Life, Recorder
from tests.integration.test_random_histories import recorder as recorder  # the fixture
from tests.integration.time.fleet import BY
from tests.unit.subscription.simulation import MICROSECOND

USED = {"charged": "used", "brought_along": "used", "lapsed": "lapsed", "held_over": "held"}
GIVEN = {"granted": "granted", "reversed": "reversed"}
ADJUSTED = {True: "reversed", False: "used"}


@pytest.mark.parametrize("histories", [SHORT, LONG])
def test_statements_add_up_and_close_as_the_balance_was(recorder: Recorder, database_url: str, histories: int) -> None:
    random, kinds = seeded("statements of random histories"), Counter[str]()
    read = Statements(SCHEMA, recorder.clock)
    for number in range(histories):
        life = recorder.record(Random(random.getrandbits(64)))
        where = f"history {number}, subscription {life.id}"
        due = statements_of(read, recorder.connection, life.id)
        check_closings(recorder, life, due, where)
        kinds.update(line.kind for each in due for line in each.lines)
        for each in due:
            check_sums(each, where)
        life.ledger.execute(life.id, RecordDue(), BY)
        recorded = statements_of(read, recorder.connection, life.id)
        assert [each.lines for each in recorded] == [each.lines for each in due], f"{where}: recorded, nothing changes"
        if number % 5 == 0:
            catch_up(database_url)
            assert statements_of(read, recorder.connection, life.id) == recorded, f"{where}: from the cycles table"
    print(dict(kinds))
    assert kinds.keys() >= {"granted", "charged", "reversed", "lapsed"}


@pytest.mark.parametrize("histories", [SHORT, LONG])
def test_usage_is_the_sum_of_charges_and_reversals(recorder: Recorder, database_url: str, histories: int) -> None:
    random, counts = seeded("usage of random histories"), Counter[str]()
    lives = [recorder.record(Random(random.getrandbits(64))) for _ in range(histories)]
    catch_up(database_url)
    usage = UsageQueries(SCHEMA)
    for life in lives:
        expected = usage_by_cycle_and_plan(recorder.connection, life.id)
        rows = usage.sums(
            recorder.connection,
            UsageFilter(subscription_id=life.id),
            frozenset(("cycle", "plan_id", "model")),
            after=None,
            limit=1_000,
        )
        found = {(each.cycle, each.plan_id, each.model): (each.credits, each.reversed_credits) for each in rows}
        assert found == expected, life.id
        counts["credits"] += sum(charged for charged, _ in found.values())
        counts["reversed"] += sum(given_back for _, given_back in found.values())
    print(dict(counts))
    assert counts["credits"] > counts["reversed"] > 0


def statements_of(read: Statements, connection: Connection[Any], id: UUID) -> list[Statement]:
    """The statements of a subscription, oldest first."""
    return [read.statement(connection, id, cycle) for cycle in read.cycles(connection, id) or ()]


def check_sums(statement: Statement, where: str) -> None:
    """Check that a statement adds up, line by line and in sum."""
    balance, sums = statement.opening_credits, Counter[str]()
    for line in statement.lines:
        balance += line.credits
        assert line.balance_after == balance, where
        if line.kind == "adjusted":
            sums[ADJUSTED[line.credits > 0]] += abs(line.credits)
        elif line.kind != "late":
            sums[USED.get(line.kind) or GIVEN[line.kind]] += abs(line.credits)
    assert balance == statement.closing_credits, where
    for name in ("granted", "used", "reversed", "lapsed", "held"):
        assert getattr(statement, f"{name}_credits") == sums[name], f"{where}: {name}"
    moved = statement.granted_credits - statement.used_credits + statement.reversed_credits
    gone = statement.lapsed_credits + statement.held_credits
    assert statement.opening_credits + moved - gone == statement.closing_credits, where


def check_closings(recorder: Recorder, life: Life, statements: list[Statement], where: str) -> None:
    """Check that each closing is the balance at the last microsecond of its cycle, and the next one's opening."""
    past = AsOf(SCHEMA, recorder.clock)
    assert statements[0].opening_credits == 0
    for before, after in pairwise(statements):
        assert before.closing_credits == after.opening_credits, where
        ends_at = beginning_of(after)
        if before.lines[-1].at < ends_at:  # what happened before an upgrade at its instant is not seen by instant
            state = past.at_instant(recorder.connection, life.id, ends_at - MICROSECOND)
            assert state is not None, where
            assert state.state.balance_credits == before.closing_credits, f"{where}, at {ends_at}"
    now = past.at_instant(recorder.connection, life.id, life.simulation.at)
    assert now is not None, where
    assert now.state.balance_credits == statements[-1].closing_credits, where


def beginning_of(statement: Statement) -> datetime:
    """The instant at which a cycle began: its first line is of then."""
    return statement.lines[0].at


def usage_by_cycle_and_plan(connection: Connection[Any], id: UUID) -> dict[tuple[int, str, str], tuple[int, int]]:
    """Add up charges and reversals from the stored JSON, by cycle, plan then and model."""
    plan_id, models, sums = "", dict[str, str](), dict[tuple[int, str, str], tuple[int, int]]()
    for topic, data in stored(connection, id):
        if topic in {"SubscriptionStarted", "PlanUpgraded", "TermRenewed"}:
            plan_id = data["plan"]["plan_id"]
        elif topic in {"GenerationCharged", "ChargeReversed"}:
            model = models.setdefault(data["generation_id"], data.get("model", ""))
            key = data["cycle_number"], plan_id, model
            charged, given_back = sums.get(key, (0, 0))
            is_charge = topic == "GenerationCharged"
            sums[key] = charged + data["credits"] * is_charge, given_back + data["credits"] * (not is_charge)
    return sums


def stored(connection: Connection[Any], id: UUID) -> Iterator[tuple[str, Any]]:
    """Yield the type and the data of each event of a subscription, in order."""
    query = b"SELECT topic, state FROM tallystick.ledger_events WHERE originator_id = %s ORDER BY originator_version"
    for topic, state in connection.execute(query, [id]).fetchall():
        yield topic, json.loads(bytes(state))["data"]


def catch_up(database_url: str) -> None:
    """Do what the projector does."""
    with connect(database_url, autocommit=True) as connection:
        assert Engine(lambda: connection, SCHEMA, decode_event).catch_up(connection, timeout_seconds=60)
