"""Disputes through the write path: two streams in one transaction, and each charge given back once at most.

`tests/unit/ledger/test_disputes.py` has what is decided without a database.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import Connection

from projections.disputes.view import DisputeView
from services import migrations
from services.catalogue import Catalogue
from services.dispute.commands import OpenDispute, ResolveDispute
from services.dispute.events import Outcome, Reason
from services.dispute.refusals import ChargeAlreadyReversed, ChargeHasOpenDispute, DisputeClosed
from services.ledger.disputes import Disputes
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Charged, Disputed, Done, Refused
from services.postgres.database import connect
from services.subscription.commands import ChargeGeneration, StartSubscription
from services.subscription.events import CreditTo
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.breaking import Fate, break_commits

BY = Metadata(key_id="support", request_id="request-1")
LOSSES: tuple[Fate, Fate] = ("stored", "not stored")


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection[Any]]:
    with connect(database_url, autocommit=True) as opened:
        yield opened


class Support:
    """A subscription with one charge of 150 credits, `track`, and the disputes that support opens and resolves."""

    def __init__(self, ledger: Ledger, id: UUID | None = None) -> None:
        self.ledger = ledger
        self.id = id or uuid4()
        if id is None:
            started = ledger.execute(self.id, StartSubscription("account-1", "ai-starter-16500-monthly"), BY)
            assert isinstance(started, Done)
            self.charge("track")

    def charge(self, generation_id: str) -> None:
        assert isinstance(self.ledger.execute(self.id, ChargeGeneration(generation_id, "lyria-3"), BY), Charged)

    def open(self, reason: Reason = "duplicate", generation_id: str = "track") -> DisputeView | Any:
        command = OpenDispute(uuid4(), generation_id, reason, "Twice!")
        return self._shown(self.ledger.execute(self.id, command, BY))

    def resolve(
        self,
        dispute_id: UUID,
        outcome: Outcome = "upheld",
        to: CreditTo = "current_cycle",
        generation_id: str = "track",
    ) -> DisputeView | Any:
        command = ResolveDispute(dispute_id, generation_id, outcome, "So it is.", to)
        return self._shown(self.ledger.execute(self.id, command, BY))

    @staticmethod
    def _shown(answer: object) -> object:
        return (
            answer.dispute
            if isinstance(answer, Disputed)
            else answer.refusal
            if isinstance(answer, Refused)
            else answer
        )


@pytest.fixture
def support(ledger: Ledger) -> Support:
    return Support(ledger)


def balance(connection: Connection[Any], id: UUID) -> Any:
    query = "SELECT granted_credits - used_credits + reversed_credits, version, position FROM tallystick.balance"
    return connection.execute(query + " WHERE subscription_id = %s", [id]).fetchone()


def test_an_upheld_dispute_and_its_reversal_are_one_transaction(support: Support, connection: Connection[Any]) -> None:
    opened = support.open()
    upheld = support.resolve(opened.dispute_id)

    assert (opened.status, opened.version, opened.charge.status) == ("open", 1, "charged")
    assert (upheld.status, upheld.version, upheld.charge.status) == ("upheld", 2, "reversed")
    rows = connection.execute(
        "SELECT topic, originator_id, xmin::text, notification_id FROM tallystick.ledger_events"
        " WHERE topic IN ('ChargeReversed', 'DisputeResolved') ORDER BY notification_id"
    ).fetchall()
    assert [row[:2] for row in rows] == [("ChargeReversed", support.id), ("DisputeResolved", opened.dispute_id)]
    assert rows[0][2] == rows[1][2]
    assert balance(connection, support.id) == (16_500, 4, 5)
    reversed_in = connection.execute("SELECT reversed_in_version FROM tallystick.charges").fetchone()
    assert reversed_in == (4,)


def test_the_answer_to_a_dispute_is_what_a_read_shows(support: Support, connection: Connection[Any]) -> None:
    disputes = Disputes(SCHEMA)
    opened = support.open("wrong_price")

    assert disputes.find(connection, opened.dispute_id) == opened
    upheld = support.resolve(opened.dispute_id)
    assert disputes.find(connection, opened.dispute_id) == upheld
    assert disputes.find(connection, support.id) is None, "a subscription is no dispute"
    assert disputes.find(connection, uuid4()) is None


def test_a_snapshot_at_every_version_is_of_subscriptions_only(
    database_url: str, catalogue: Catalogue, clock: SettableClock
) -> None:
    with Ledger(database_url, SCHEMA, catalogue, clock=clock, snapshot_interval=1) as ledger:
        support = Support(ledger)
        assert support.resolve(support.open().dispute_id).status == "upheld"
    with connect(database_url) as connection:
        rows = connection.execute("SELECT DISTINCT originator_id FROM tallystick.ledger_snapshots").fetchall()
    assert rows == [(support.id,)]


def test_the_chain_of_a_dispute_is_its_own(support: Support, connection: Connection[Any]) -> None:
    opened = support.open()
    support.resolve(opened.dispute_id, "rejected")

    head = Disputes(SCHEMA).head(connection, opened.dispute_id)
    rows = connection.execute(
        "SELECT originator_version, encode(previous_hash, 'hex') FROM tallystick.ledger_events"
        " WHERE originator_id = %s ORDER BY originator_version",
        [opened.dispute_id],
    ).fetchall()

    assert head is not None
    assert [version for version, _ in rows] == [1, 2]
    assert rows[0][1] == "00" * 32
    assert rows[1][1] not in {"00" * 32, head.hash.hex()}


def test_of_many_concurrent_resolutions_one_reverses_the_charge(support: Support, connection: Connection[Any]) -> None:
    opened = support.open()
    with ThreadPoolExecutor(64) as clients:
        answers = list(clients.map(lambda _: support.resolve(opened.dispute_id), range(64)))

    assert Counter(type(answer) for answer in answers) == {DisputeView: 1, DisputeClosed: 63}
    again = support.open()
    assert isinstance(support.resolve(again.dispute_id), ChargeAlreadyReversed)
    assert balance(connection, support.id)[0] == 16_500
    reversals = connection.execute(
        "SELECT count(*) FROM tallystick.ledger_events WHERE topic = 'ChargeReversed'"
    ).fetchone()
    assert reversals == (1,)


def test_of_many_concurrent_openings_one_opens_a_dispute(
    support: Support, database_url: str, catalogue: Catalogue, clock: SettableClock
) -> None:
    with Ledger(database_url, SCHEMA, catalogue, clock=clock) as another, ThreadPoolExecutor(64) as clients:
        supports = [support, Support(another, support.id)]
        answers = list(clients.map(lambda number: supports[number % 2].open(), range(64)))

    assert Counter(type(answer) for answer in answers) == {DisputeView: 1, ChargeHasOpenDispute: 63}


def test_disputes_among_charges_leave_every_position_right(support: Support, connection: Connection[Any]) -> None:
    def client(number: int) -> None:
        if number % 3:
            support.charge(f"more-{number}")
        else:
            support.charge(f"disputed-{number}")
            opened = support.open(generation_id=f"disputed-{number}")
            support.resolve(opened.dispute_id, "rejected", generation_id=f"disputed-{number}")

    with ThreadPoolExecutor(32) as clients:
        list(clients.map(client, range(90)))

    last = connection.execute(
        "SELECT originator_version, notification_id FROM tallystick.ledger_events WHERE originator_id = %s"
        " ORDER BY originator_version DESC LIMIT 1",
        [support.id],
    ).fetchone()
    assert balance(connection, support.id)[1:] == last
    gaps = connection.execute(
        "SELECT max(notification_id) - count(*), (SELECT last_id FROM tallystick.head) - count(*)"
        " FROM tallystick.ledger_events"
    ).fetchone()
    assert gaps == (0, 0)


@pytest.mark.parametrize("losses", [losses for count in (1, 2, 3) for losses in product(LOSSES, repeat=count)])
def test_a_commit_whose_answer_is_lost_happens_once(
    ledger: Ledger, database_url: str, losses: tuple[Fate, ...], connection: Connection[Any]
) -> None:
    fates = break_commits(ledger, database_url)
    support = Support(ledger)

    fates.schedule(*losses)
    opened = support.open()
    fates.schedule(*losses)
    upheld = support.resolve(opened.dispute_id)

    assert fates.losses == 2 * len(losses)
    assert Disputes(SCHEMA).find(connection, opened.dispute_id) == upheld
    topics = connection.execute(
        "SELECT topic FROM tallystick.ledger_events WHERE notification_id > 3 ORDER BY notification_id"
    ).fetchall()
    assert topics == [("DisputeOpened",), ("ChargeReversed",), ("DisputeResolved",)]
    assert balance(connection, support.id)[0] == 16_500


def test_the_migration_makes_the_rows_that_the_write_path_makes(support: Support, connection: Connection[Any]) -> None:
    support.resolve(support.open().dispute_id, "rejected")
    support.open("unsatisfied")
    support.open()
    rows = "SELECT * FROM tallystick.disputed_charges ORDER BY dispute_id"
    written = connection.execute(rows).fetchall()
    script = Path(migrations.__path__[0], "versions", "0006_disputed_charges.sql").read_text(encoding="utf-8")
    insert = script[script.index("INSERT INTO") :].replace("{schema}", "tallystick")

    connection.execute("TRUNCATE tallystick.disputed_charges")
    connection.execute(insert.encode())

    assert len(written) == 3
    assert connection.execute(rows).fetchall() == written
