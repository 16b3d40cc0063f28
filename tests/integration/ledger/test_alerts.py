"""Alerts on a real ledger: each threshold is crossed once a cycle, whatever happens at once."""

import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from services.catalogue import Catalogue, Settings
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, AnyCommand, Charged, Failed, Refused
from services.postgres.database import connect
from services.subscription.commands import (
    CaptureHold,
    ChargeGeneration,
    HoldCredits,
    ReleaseHold,
    StartSubscription,
    UpgradePlan,
)
from tests.conftest import SCHEMA, SettableClock

METADATA = Metadata("a test", "a request")


def alerts(database_url: str, subscription_id: UUID) -> Counter[tuple[int, str]]:
    """How often each threshold was crossed in each cycle."""
    query = f"SELECT state FROM {SCHEMA}.ledger_events WHERE originator_id = %s AND topic = ANY(%s)"
    topics = ["GenerationCharged", "CreditsHeld"]
    with connect(database_url) as connection:
        charges = [
            msgspec.json.decode(state)["data"] for (state,) in connection.execute(query, [subscription_id, topics])
        ]
    return Counter((each["cycle_number"], alert["threshold"]) for each in charges for alert in each.get("alerts", ()))


def shown(database_url: str, subscription_id: UUID) -> list[str]:
    """The thresholds that the balance row has."""
    query = f"SELECT alerts FROM {SCHEMA}.balance WHERE subscription_id = %s"
    with connect(database_url) as connection:
        (row,) = connection.execute(query, [subscription_id])
    return [each["threshold"] for each in msgspec.json.decode(row[0])]


@pytest.mark.parametrize("seed", range(int(os.environ.get("TALLYSTICK_ALERT_SEEDS", "12"))))
def test_256_charges_at_once_cross_each_threshold_once(
    database_url: str, catalogue: Catalogue, clock: SettableClock, seed: int
) -> None:
    """Two processes charge, hold and capture, some of it twice, while sessions are killed and the plan is upgraded."""
    chance, subscription_id = random.Random(seed), uuid4()
    with (
        Ledger(database_url, SCHEMA, catalogue, clock=clock, snapshot_interval=20) as one,
        Ledger(database_url, SCHEMA, catalogue, clock=clock, snapshot_interval=20) as other,
        connect(database_url, autocommit=True) as killer,
    ):
        one.execute(subscription_id, StartSubscription("account-1", "ai-suite-40000-monthly"), METADATA)

        def charge(number: int) -> Any:
            if number % 64 == 0:
                _kill_sessions(killer)
            id, settings = f"g-{number}", Settings(count=1 + number % 2)
            if number % 4 < 3:
                return execute(ChargeGeneration(id, "lyria-3", settings))
            execute(HoldCredits(id, "lyria-3"))
            answer = execute(CaptureHold(id, settings))  # which comes to more than what was held
            if isinstance(answer, Refused):
                execute(ReleaseHold(id))
            return answer

        def execute(command: AnyCommand) -> Answer:
            while True:
                answer = chance.choice([one, other]).execute(subscription_id, command, METADATA)
                if not isinstance(answer, Failed):
                    return answer

        with ThreadPoolExecutor(256) as pool:
            numbers = [*range(256), *chance.sample(range(256), 40)]
            chance.shuffle(numbers)
            answers = list(pool.map(charge, numbers))
        charged = [each for each in answers if isinstance(each, Charged) and not each.is_replay]
        assert 150 < len(charged) < 256  # 40,000 are not enough for all
        assert alerts(database_url, subscription_id) == {(1, "0.20"): 1}
        assert shown(database_url, subscription_id) == ["0.20"]

        one.execute(subscription_id, UpgradePlan("max-pro-40000-monthly"), METADATA)
        assert shown(database_url, subscription_id) == []
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(charge, range(1_000, 1_064)))
        clock.advance(days=40)
        with ThreadPoolExecutor(256) as pool:
            list(pool.map(charge, range(2_000, 2_256)))
    found = alerts(database_url, subscription_id)
    assert set(found.values()) == {1}
    assert found[1, "0.20"] == found[max(cycle for cycle, _ in found), "0.20"] == 1


def _kill_sessions(killer: psycopg.Connection[Any]) -> None:
    """End every other session of this database."""
    killer.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
