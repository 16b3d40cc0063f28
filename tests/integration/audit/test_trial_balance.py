"""Trial balances are what an independent fold of the events adds up to, at any position and over any interval."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from psycopg import Connection

from projections.engine import Engine
from projections.movements.blocks import Blocks
from projections.movements.queries import Interval, MovementQueries, Totals
from projections.rebuilding.rebuild import Rebuild
from services.integrity.verify.trust import Trust
from services.integrity.verify.verification import Verification
from services.ledger.ledger import Ledger
from services.ledger.mapper import decode_event
from services.postgres.database import connect
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import Lives
from tests.integration.audit.sound import SealedLedger, reasons_of
from tests.waiting import PATIENCE_SECONDS

EVENTS = b"SELECT notification_id, originator_id, recorded_at, topic, state FROM tallystick.ledger_events ORDER BY 1"
SUMS = ("granted", "used", "reversed", "lapsed", "held", "left")
BLOCK_ROWS = 37


class Moved(NamedTuple):
    """What an event moved: the six sums in the order of `SUMS`."""

    position: int
    subscription_id: UUID
    at: datetime
    sums: tuple[int, ...]


class Account:
    """A subscription, folded from the JSON of its events alone, with all that ever moved."""

    def __init__(self) -> None:
        self.balance = 0
        self.open: dict[str, int] = {}
        self.held_over: dict[str, int] = {}
        self.moved = dict.fromkeys(SUMS[:4], 0)

    @property
    def sums(self) -> tuple[int, ...]:
        held = sum(self.open.values())
        return *self.moved.values(), held + sum(self.held_over.values()), self.balance - held

    def take(self, topic: str, data: dict[str, Any]) -> None:
        amount = data.get("credits", 0)
        match topic:
            case "CreditsGranted":
                self._grant(amount)
                self._use(data.get("used_credits", 0))
            case "GenerationCharged":
                if (id := data["generation_id"]) in self.held_over:
                    self.moved["used"] += amount
                    self.moved["lapsed"] += self.held_over.pop(id) - amount
                else:
                    self.open.pop(id, None)
                    self._use(amount)
            case "CreditsHeld":
                self.open[data["generation_id"]] = amount
            case "HoldReleased":
                self.open.pop(data["generation_id"], None)
                self.moved["lapsed"] += self.held_over.pop(data["generation_id"], 0)
            case "CycleReset" | "SubscriptionEnded":
                self.moved["lapsed"] += self.balance - sum(self.open.values())
                self.held_over, self.open, self.balance = {**self.held_over, **self.open}, {}, 0
                self._grant(data.get("granted_credits", 0))
            case "PlanUpgraded":
                assert data["policy"] == "deduct_used"
                after = data["granted_credits"] - data["used_credits"] + data["reversed_credits"]
                if after < self.balance:
                    self.moved["lapsed"] += self.balance - after
                    self.balance = after
                self._grant(after - self.balance)
            case "ChargeReversed":
                self.moved["reversed"] += amount - data.get("deducted_credits", 0)
                self.balance += amount - data.get("deducted_credits", 0)
            case _:
                assert "credits" not in data

    def _grant(self, amount: int) -> None:
        self.balance += amount
        self.moved["granted"] += amount

    def _use(self, amount: int) -> None:
        self.balance -= amount
        self.moved["used"] += amount


def moved_by_events(connection: Connection[Any]) -> Iterator[Moved]:
    """Yield what each event of a subscription moved, in the order of the ledger."""
    accounts: dict[UUID, Account] = {}
    for position, id, at, topic, state in connection.execute(EVENTS).fetchall():
        if topic.startswith("Dispute"):
            continue
        account = accounts.setdefault(id, Account())
        before = account.sums
        account.take(topic, json.loads(state)["data"])
        yield Moved(position, id, at, tuple(now - then for now, then in zip(account.sums, before, strict=True)))


def added_up(moved: Sequence[Moved], interval: Interval) -> Totals:
    """Add up what an independent fold says of an interval."""
    counted = [
        each
        for each in moved
        if each.position <= interval.position and (interval.until is None or each.at < interval.until)
    ]
    before = [each for each in counted if interval.since is not None and each.at < interval.since]
    within = [each for each in counted if interval.since is None or each.at >= interval.since]
    return Totals(
        sum(sum(each.sums[4:]) for each in before),
        *(sum(each.sums[place] for each in within) for place in range(4)),
        *(sum(each.sums[place] for each in counted) for place in (4, 5)),
    )


def random_intervals(random: Random, moved: Sequence[Moved], count: int) -> Iterator[Interval]:
    """Draw positions and intervals; half of the instants are beside an event's, or at the beginning of a minute."""

    def instant() -> datetime | None:
        at = random.choice(moved).at + timedelta(microseconds=random.choice((-1, 0, 0, 1)))
        return random.choice((at, at, at.replace(second=0, microsecond=0), at.replace(hour=0, minute=0), None))

    for _ in range(count):
        since, until = instant(), instant()
        if since is not None and until is not None and until < since:
            since, until = until, since
        yield Interval(random.randint(0, moved[-1].position), since, until)


def catch_up(database_url: str, connection: Connection[Any]) -> None:
    projector = Engine(lambda: connect(database_url), SCHEMA, decode_event)
    assert projector.catch_up(connection, timeout_seconds=PATIENCE_SECONDS)


@pytest.fixture
def moved(ledger: Ledger, clock: SettableClock, database_url: str, connection: Connection[Any]) -> list[Moved]:
    """A ledger with every type of event, its movements caught up, most of them in blocks; and what its events moved."""
    lives = Lives(ledger, clock, seed=15)
    lives.start(12)
    lives.go_on(900)
    catch_up(database_url, connection)
    blocks = Blocks(SCHEMA)
    while blocks.fill(connection, BLOCK_ROWS):
        pass
    return list(moved_by_events(connection))


def test_at_random_positions_and_intervals_it_is_the_sum_of_the_events_and_zero(
    moved: list[Moved], connection: Connection[Any]
) -> None:
    queries, seen = MovementQueries(SCHEMA), set[Totals]()
    for interval in random_intervals(Random(28), moved, 1_000):
        totals = queries.totals(connection, interval)
        assert totals == added_up(moved, interval), interval
        assert totals.sum_credits == 0, interval
        seen.add(totals)
    assert len(seen) > 500
    assert all(any(values) for values in zip(*seen, strict=True))


def test_each_subscription_has_its_part(moved: list[Moved], connection: Connection[Any]) -> None:
    queries = MovementQueries(SCHEMA)
    for interval in random_intervals(Random(29), moved, 50):
        found = queries.by_subscription(connection, interval, after=UUID(int=0), limit=1_000)
        parts = {each.subscription_id: each.totals for each in found}
        for id in {each.subscription_id for each in moved}:
            expected = added_up([each for each in moved if each.subscription_id == id], interval)
            assert parts.get(id, Totals(*[0] * 7)) == expected, interval
        sums = [sum(each[place] for each in parts.values()) for place in range(7)]
        assert Totals(*sums) == queries.totals(connection, interval)


def test_a_rebuild_makes_the_same_rows_and_forgets_the_blocks(
    moved: list[Moved], database_url: str, connection: Connection[Any]
) -> None:
    queries, rows = MovementQueries(SCHEMA), b"SELECT * FROM tallystick.movements ORDER BY position"
    before = connection.execute(rows).fetchall()
    intervals = list(random_intervals(Random(30), moved, 20))
    totals = [queries.totals(connection, each) for each in intervals]

    result = Rebuild(database_url, SCHEMA, ["movements"], decode_event).run()

    assert not result.differences
    assert connection.execute(rows).fetchall() == before
    assert connection.execute(b"SELECT count(*) FROM tallystick.movement_blocks").fetchone() == (0,)
    assert [queries.totals(connection, each) for each in intervals] == totals


def test_a_tampered_row_is_corrected_by_a_rebuild_with_its_block(
    moved: list[Moved], database_url: str, connection: Connection[Any]
) -> None:
    connection.execute(b"UPDATE tallystick.movements SET used_credits = used_credits + 1 WHERE position = 2")
    assert not Verification(SCHEMA, Trust()).run(database_url).holds

    result = Rebuild(database_url, SCHEMA, ["movements"], decode_event).run()

    assert [(each.table, each.kind, each.rows) for each in result.differences] == [("movements", "changed", 1)]
    assert Verification(SCHEMA, Trust()).run(database_url).holds
    interval = Interval(moved[-1].position)
    assert MovementQueries(SCHEMA).totals(connection, interval) == added_up(moved, interval)


def test_blocks_are_made_by_the_projector(
    lives: Lives, database_url: str, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Blocks.fill, "__defaults__", (BLOCK_ROWS,))
    for _ in range(3):
        lives.go_on(60)
        catch_up(database_url, connection)

    ranges = connection.execute(
        b"SELECT DISTINCT first_position, last_position FROM tallystick.movement_blocks ORDER BY 1"
    ).fetchall()
    assert len(ranges) >= 2
    assert Blocks(SCHEMA).differences(connection) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE tallystick.movements SET used_credits = used_credits + 1 WHERE position = 2", "used_credits is"),
        ("DELETE FROM tallystick.movements WHERE position = 2", "movements row of"),
        ("UPDATE tallystick.movement_blocks SET left_credits = left_credits - 1 WHERE first_position = 1", "the sums"),
        ("DELETE FROM tallystick.movement_blocks WHERE ctid = (SELECT min(ctid) FROM tallystick.movement_blocks)", ""),
        (
            "INSERT INTO tallystick.movements SELECT subscription_id, 1000000, recorded_at, 1, 1, 0, 0, 0, 0 "
            "FROM tallystick.movements LIMIT 1",
            "no event is behind it",
        ),
    ],
)
def test_verify_finds_a_sum_that_was_changed(sealed: SealedLedger, change: str, reason: str) -> None:
    with sealed.tampering() as connection:
        assert sealed.check(connection).holds
        assert connection.execute(change.encode()).rowcount > 0
        verified = sealed.check(connection)
    assert not verified.holds
    assert reason in reasons_of(verified)
