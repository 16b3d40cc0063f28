"""Reads what a ledger has stored, past the ledger itself, and checks the invariants that hold whatever happened."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from msgspec.structs import asdict
from psycopg import sql
from psycopg.rows import dict_row

from projections.balance import project as balance
from projections.charges.view import Charge, charge_view
from projections.declaration import MAX_POSITION
from projections.renewal import project as renewal
from services.ledger.hashing import NO_HASH
from services.ledger.mapper import read_event
from services.ledger.recorder import COLUMNS, Recorder, chained_event
from services.ledger.records import ChainedEvent, Recorded, StreamHead
from services.postgres.database import connect
from services.subscription.events import ChargeReversed, CreditsHeld, GenerationCharged, HoldReleased
from services.subscription.state import Subscription, evolve
from tests.conftest import SCHEMA


class Books:
    """The stored rows of one schema, read anew by each method."""

    def __init__(self, database_url: str, schema: str = SCHEMA) -> None:
        self._database_url = database_url
        self._schema = schema

    def query(self, query: LiteralString, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query; `{}` in it stands for the schema."""
        statement = sql.SQL(query).format(*[sql.Identifier(self._schema)] * query.count("{}"))
        with connect(self._database_url, autocommit=True) as connection:
            return connection.execute(statement, arguments).fetchall()

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table, by the names of its columns."""
        statement = sql.SQL("SELECT * FROM {}").format(sql.Identifier(self._schema, table))
        with (
            connect(self._database_url, autocommit=True) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            return cursor.execute(statement).fetchall()

    def events(self) -> list[ChainedEvent]:
        """Return all events in the order of their positions."""
        with connect(self._database_url, autocommit=True) as connection:
            return self.events_seen_by(connection)

    def events_seen_by(self, connection: psycopg.Connection[Any]) -> list[ChainedEvent]:
        """Return all events as a transaction sees them, which may have altered them."""
        statement = sql.SQL("SELECT {} FROM {}.ledger_events ORDER BY notification_id")
        rows = connection.execute(statement.format(sql.SQL(COLUMNS), sql.Identifier(self._schema)))
        return [chained_event(row) for row in rows]

    def stream(self, subscription_id: UUID) -> list[Recorded]:
        """Return the events of one stream, in order."""
        return [read_event(each) for each in self.events() if each.originator_id == subscription_id]

    def head(self, subscription_id: UUID, version: int = MAX_POSITION) -> StreamHead | None:
        """Fold a subscription's stream up to a version, as the service does."""
        with connect(self._database_url, autocommit=True) as connection:
            return Recorder(self._schema).head(connection, subscription_id, version)

    def types(self, subscription_id: UUID) -> list[str]:
        """Return the types of one stream's events, in order."""
        return [each.stored.topic for each in self.stream(subscription_id)]

    def charged(self) -> dict[tuple[UUID, str], Charge]:
        """Return every charge by subscription and generation. Fails where a generation was charged twice."""
        found: dict[tuple[UUID, str], Charge] = {}
        for each in _of_subscriptions(self.events()):
            if isinstance(each.event, GenerationCharged):
                key = each.originator_id, each.event.generation_id
                assert key not in found, f"charged twice: {key}"
                found[key] = _as_charge(each)
        return found

    def count(self, table: LiteralString) -> int:
        """Count the rows of a table."""
        return int(self.query("SELECT count(*) FROM {}." + table)[0][0])

    def check(self) -> None:
        """Check every invariant: positions, chains, credits, and each projection against the events."""
        events = self.events()
        check_positions(events)
        assert self.query("SELECT last_id FROM {}.head") == [(len(events),)]
        states: dict[UUID, Subscription] = {}
        for stream in streams(events):
            check_chain(stream)
            if recorded := _of_subscriptions(stream):
                states[stream[0].originator_id] = _fold(recorded)
        self.charged()
        self._check_balances(events, states)
        self._check_renewals(states)
        self._check_charges(events)

    def _check_balances(self, events: list[ChainedEvent], states: dict[UUID, Subscription]) -> None:
        last_positions = {each.originator_id: each.position or 0 for each in events}
        found = {row[balance.BALANCE.stream]: row for row in self.rows("balance")}
        expected = {id: asdict(balance.project(state, last_positions[id])) for id, state in states.items()}
        assert found == {id: {balance.BALANCE.stream: id, **row} for id, row in expected.items()}

    def _check_renewals(self, states: dict[UUID, Subscription]) -> None:
        rows = self.query(
            "SELECT r.subscription_id, r.account_id, r.status, r.next_due_at, r.test_clock_id, r.state,"
            " b.version, b.used_credits, b.reversed_credits, b.held_credits, b.holds_expire_at, b.holds"
            " FROM {}.renewal AS r JOIN {}.balance AS b USING (subscription_id)"
        )
        found, expected = {}, {}
        for id, account_id, status, due, clock_id, state, *moved in rows:
            found[id] = account_id, status, due, clock_id, renewal.with_balance(state, renewal.Moved(*moved))
        for id, each in states.items():
            expected[id] = each.account_id, each.status, each.cycle_boundary_at, each.test_clock_id, each
        assert found == expected

    def _check_charges(self, events: list[ChainedEvent]) -> None:
        expected: dict[tuple[UUID, str], dict[str, int]] = {}
        for each in _of_subscriptions(events):
            match each.event:
                case GenerationCharged(held_credits=None) | CreditsHeld():
                    expected[each.originator_id, each.event.generation_id] = {"version": each.originator_version}
                case GenerationCharged() | HoldReleased() | ChargeReversed():
                    mark = f"{_became(each.event)}_in_version"
                    expected[each.originator_id, each.event.generation_id][mark] = each.originator_version
                case _:
                    pass
        found = {
            (row.pop("subscription_id"), row.pop("generation_id")): {
                name: value for name, value in row.items() if value is not None
            }
            for row in self.rows("charges")
        }
        assert found == expected


def _became(event: GenerationCharged | HoldReleased | ChargeReversed) -> str:
    match event:
        case GenerationCharged():
            return "captured"
        case HoldReleased():
            return event.cause
        case ChargeReversed():
            return "reversed"


def check_positions(events: list[ChainedEvent]) -> None:
    """Check that positions count from 1 without a gap."""
    assert [each.position for each in events] == list(range(1, len(events) + 1))


def check_chain(stream: list[ChainedEvent]) -> None:
    """Check that versions count from 1, each event has the hash of the one before it, and time does not run back."""
    assert [each.originator_version for each in stream] == list(range(1, len(stream) + 1))
    assert stream[0].previous_hash == NO_HASH
    for earlier, later in pairwise(stream):
        assert later.previous_hash == earlier.hash, f"the chain breaks at version {later.originator_version}"
        assert later.recorded_at >= earlier.recorded_at
        assert (later.position or 0) > (earlier.position or 0)


def streams(events: Iterable[ChainedEvent]) -> Iterator[list[ChainedEvent]]:
    """Yield the streams among the events, each in the order of its versions."""
    by_stream: dict[UUID, list[ChainedEvent]] = {}
    for each in events:
        by_stream.setdefault(each.originator_id, []).append(each)
    for stream in by_stream.values():
        yield sorted(stream, key=lambda each: each.originator_version)


def _of_subscriptions(events: Iterable[ChainedEvent]) -> list[Recorded]:
    """Return the events of subscriptions, without those of disputes."""
    return [read_event(each) for each in events if not each.topic.startswith("Dispute")]


def _fold(recorded: Iterable[Recorded]) -> Subscription:
    """Return the state after the events. Checks that no balance is negative and that each charge states its own."""
    state: Subscription | None = None
    for each in recorded:
        state = evolve(state, each.event)
        assert state.balance_credits >= 0
        if isinstance(each.event, GenerationCharged | ChargeReversed):
            assert each.event.balance_after == state.balance_credits
    assert state is not None
    return state


def _as_charge(recorded: Recorded) -> Charge:
    assert isinstance(recorded.event, GenerationCharged)
    return charge_view(
        recorded.originator_id,
        recorded.event,
        charged_at=recorded.stored.recorded_at,
        version=recorded.originator_version,
        position=recorded.stored.position or 0,
    )


def session_count(database_url: str) -> int:
    """Count the sessions of the database, other than this one."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone()
        assert row is not None
        return int(row[0])


def tally(answers: Iterable[object]) -> Counter[str]:
    """Count the answers of each type, and the refusals of each code."""
    return Counter(getattr(getattr(each, "refusal", None), "code", type(each).__name__) for each in answers)
