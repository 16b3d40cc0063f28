"""Settling a run: every difference is recorded once, whatever is repeated or cut short, nothing below zero."""

import json
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.catalogue import Catalogue, Settings
from services.fleet import settling
from services.fleet.changes import FleetChanges
from services.fleet.run_file import RunFile
from services.fleet.running import FleetRun
from services.fleet.settling import NotSettled, Settlement, Settling
from services.integrity.verify.trust import Trust
from services.integrity.verify.verification import Verification
from services.ledger.ledger import Ledger, utc_now
from services.postgres.database import connect
from services.process.progress import report_nothing
from services.subscription.commands import CancelSubscription, ChargeGeneration, StartSubscription
from tests.conftest import SCHEMA
from tests.integration.fleet.test_runs import TODAY
from tests.integration.ledger.books import Books
from tests.integration.time.fleet import BY
from tests.processes import tallystick

PLAN = "ai-suite-40000-monthly"
ALICE, BOB, CARL, DORA, EVE = (UUID(int=number) for number in range(1, 6))
REASON = "lyria-3 was priced at 150 for three days"


@pytest.fixture
def live(database_url: str, catalogue: Catalogue) -> Iterator[Ledger]:
    """Alice made two songs, Bob one and a film, Carl none; Dora made one and ended; Eve spent nearly all on songs."""
    with Ledger(database_url, SCHEMA, catalogue) as ledger:
        for id in (ALICE, BOB, CARL, DORA, EVE):
            ledger.execute(id, StartSubscription(f"account-{id.int}", PLAN), BY)
        songs = [(ALICE, "a"), (ALICE, "b"), (BOB, "a"), (DORA, "a"), *((EVE, f"song-{n}") for n in range(266))]
        for id, generation_id in songs:
            ledger.execute(id, ChargeGeneration(generation_id, "lyria-3"), BY)
        ledger.execute(BOB, ChargeGeneration("film", "lyria-3-pro"), BY)
        yield ledger


def run(database_url: str, file: Path, amount: int) -> RunFile:
    """Replay with another price of `lyria-3`."""
    changes = FleetChanges(reprice={"lyria-3": Decimal(amount)})
    FleetRun(database_url, SCHEMA, TODAY, report_nothing).write(changes, file, resume=False)
    return RunFile(file)


def balances(database_url: str) -> dict[int, int]:
    """The recorded balances, by the number of the subscription."""
    with connect(database_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT subscription_id, granted_credits - used_credits + reversed_credits FROM tallystick.balance"
        ).fetchall()
    return {id.int: balance for id, balance in rows}


def settle(database_url: str, live: Ledger, found: RunFile, reason: str = REASON) -> Settlement:
    with connect(database_url, autocommit=True) as connection:
        return Settling(SCHEMA, utc_now, report_nothing).settle(connection, live.lane, found, reason)


def adjusted(database_url: str) -> list[tuple[int, Any]]:
    """The corrections that are recorded: the number of the subscription, and what the event says."""
    events = Books(database_url).events()
    return [
        (each.originator_id.int, json.loads(each.state)["data"]) for each in events if each.topic == "CreditsAdjusted"
    ]


def test_every_difference_is_recorded_with_run_and_reason_and_once(
    live: Ledger, database_url: str, tmp_path: Path
) -> None:
    found = run(database_url, tmp_path / "run.ndjson", 100)
    live.execute(DORA, CancelSubscription("now"), BY)
    before = balances(database_url)

    first, second = settle(database_url, live, found), settle(database_url, live, found)

    assert first == Settlement(given_to=3, given_credits=50 * 269, ended=1)
    assert second == Settlement(already=3, ended=1)
    said = {"run_id": found.head.run_id, "reason": REASON}
    assert adjusted(database_url) == [
        (1, {"credits": 100, **said}),
        (2, {"credits": 50, **said}),
        (5, {"credits": 13_300, **said}),
    ]
    given = {1: 100, 2: 50, 3: 0, 4: 0, 5: 13_300}
    assert balances(database_url) == {id: before[id] + given[id] for id in before}


def test_no_more_is_taken_than_is_there(live: Ledger, database_url: str, tmp_path: Path) -> None:
    found = run(database_url, tmp_path / "run.ndjson", 200)
    live.execute(EVE, ChargeGeneration("speech", "example-voice-1", Settings(characters=1_000)), BY)
    assert balances(database_url)[5] == 70

    assert settle(database_url, live, found) == Settlement(
        taken_from=4, taken_credits=100 + 50 + 50 + 70, unavailable_credits=30
    )
    assert balances(database_url)[5] == 0
    result = Verification(SCHEMA, Trust(), report_nothing).run(database_url)
    assert [str(each) for each in result.findings] == []


def test_once_settled_the_same_change_makes_no_difference_any_more(
    live: Ledger, database_url: str, tmp_path: Path
) -> None:
    settle(database_url, live, run(database_url, tmp_path / "run.ndjson", 100))

    again = run(database_url, tmp_path / "again.ndjson", 100)
    other = run(database_url, tmp_path / "other.ndjson", 149)

    assert {each.difference_credits for each in again.entries()} == {0}
    assert {each.subscription_id: each.difference_credits for each in other.entries()}[ALICE] == 2
    assert settle(database_url, live, again) == Settlement()


def test_what_was_cut_short_goes_on_and_gives_nobody_twice(
    live: Ledger, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(database_url, tmp_path / "run.ndjson", 100)
    monkeypatch.setattr(settling, "SUBSCRIPTIONS_AT_A_TIME", 1)

    with connect(database_url, autocommit=True) as connection, pytest.raises(KeyboardInterrupt):
        Settling(SCHEMA, utc_now, _interrupt).settle(connection, live.lane, found, REASON)
    assert [id for id, _ in adjusted(database_url)] == [1]

    assert settle(database_url, live, found).already == 1
    assert sorted(id for id, _ in adjusted(database_url)) == [1, 2, 4, 5]


def test_where_the_lane_fails_it_says_so(live: Ledger, database_url: str, tmp_path: Path) -> None:
    found = run(database_url, tmp_path / "run.ndjson", 100)
    with connect(database_url, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE tallystick.ledger_events ADD CONSTRAINT stopped CHECK (topic <> 'CreditsAdjusted') NOT VALID"
        )
    with pytest.raises(NotSettled, match=str(ALICE)):
        settle(database_url, live, found)
    assert adjusted(database_url) == []


def test_on_the_command_line(live: Ledger, database_url: str, tmp_path: Path) -> None:
    def asked(*arguments: str) -> tuple[int, str]:
        done = tallystick(*arguments, folder=tmp_path, database_url=database_url)
        return done.returncode, done.stdout + "".join(line for line in done.stderr.splitlines() if "..." not in line)

    status, told = asked("what-if", "--all", "--reprice", "lyria-3=100", "--out", "run.ndjson")
    assert (status, told.splitlines()[1]) == (0, "4 subscriptions with a difference, +13,500 credits in sum.")
    run_id = RunFile(tmp_path / "run.ndjson").head.run_id

    would = asked("settle", "run.ndjson", "--reason", REASON, "--dry-run")
    assert would[1].splitlines() == [
        f"Run {run_id}, tried:",
        "  4 subscriptions would get 13,500 credits",
        "  0 subscriptions would lose 0 credits",
    ]
    assert adjusted(database_url) == []

    assert asked("settle", "run.ndjson")[0] == 2
    assert asked("settle", "run.ndjson", "--reason", " ")[0] == 2
    assert asked("settle", "nowhere.ndjson", "--reason", REASON)[0] == 2
    altered = (tmp_path / "run.ndjson").read_bytes().replace(b'"difference_credits":100', b'"difference_credits":900')
    (tmp_path / "altered.ndjson").write_bytes(altered)
    status, told = asked("settle", "altered.ndjson", "--reason", REASON)
    assert (status, told.startswith("altered.ndjson: it was altered")) == (1, True)
    assert adjusted(database_url) == []

    assert asked("settle", "run.ndjson", "--reason", REASON)[0] == 0
    events = Books(database_url).events()
    settled = asked("settle", "run.ndjson", "--reason", REASON)
    assert settled == (0, f"Run {run_id} is settled already: nothing is recorded.\n")
    assert Books(database_url).events() == events
    history = asked("history", str(ALICE))[1]
    assert f"+100 by run {run_id}: {REASON}" in history


def test_a_run_of_another_ledger_is_refused(live: Ledger, database_url: str, tmp_path: Path) -> None:
    run(database_url, tmp_path / "run.ndjson", 100)
    text = (tmp_path / "run.ndjson").read_bytes()
    head = json.loads(text.splitlines()[0])
    other = text.replace(head["event_hash"].encode(), b"0" * 64)
    body, end = other[: other.rindex(b"\n", 0, -1) + 1], json.loads(other.splitlines()[-1])
    forged = other.replace(end["sha256"].encode(), sha256(body).hexdigest().encode())
    (tmp_path / "forged.ndjson").write_bytes(forged)

    asked = tallystick("settle", "forged.ndjson", "--reason", REASON, folder=tmp_path, database_url=database_url)
    assert (asked.returncode, asked.stderr) == (1, "forged.ndjson: it is the run of another ledger.\n")


def _interrupt(_stage: str, done: int, _total: int) -> None:
    if done == 1:
        raise KeyboardInterrupt
