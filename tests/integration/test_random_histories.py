"""Random histories on a real PostgreSQL: as-of gives the past as it was, and a replay without a change the same.

Each history is read at every version and around every boundary, and compared with an independent fold of the stored
JSON and with the independent model. `TALLYSTICK_SEED` plays the same histories again; the long form plays 1,000
(`TALLYSTICK_HISTORIES`).
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest
from psycopg import Connection

from services.catalogue import UpgradePolicy
from services.dispute.commands import OpenDispute, ResolveDispute
from services.ledger.as_of import AsOf
from services.ledger.ledger import Ledger
from services.ledger.submission import Charged, Disputed, Done, Refused
from services.ledger.what_if import WhatIf
from services.postgres.database import connect
from services.subscription.commands import Command, RecordDue, ReverseCharge
from services.subscription.what_if import Changes
from tests.acceptance.server import Listener, running_server
from tests.conftest import SCHEMA, SettableClock
from tests.faults.seeds import seeded
from tests.integration.plain_fold import Fact, fold_events
from tests.integration.time.fleet import BY
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.model_life import Balance
from tests.unit.subscription.replaying import replay
from tests.unit.subscription.simulation import MICROSECOND, POLICIES, Simulation, balance_of, random_history

SHORT, LONG = 20, pytest.param(int(os.environ.get("TALLYSTICK_HISTORIES", "1000")), marks=pytest.mark.long)


@dataclass
class Recorder:
    """Records histories: a ledger for each upgrade policy, all of them on one schema."""

    ledgers: Mapping[UpgradePolicy, Ledger]
    clock: SettableClock
    connection: Connection[Any]
    http: httpx.Client
    _disputes: dict[tuple[UUID, str], UUID] = field(default_factory=dict)

    def record(self, random: Random) -> "Life":
        """Play a history at random and execute all its commands on the ledger, each at its instant."""
        beginning, steps = random_history(random)
        simulation = Simulation(beginning)
        for step in steps:
            simulation.play(step)
        ledger = self.ledgers[beginning.policy]
        id = UUID(int=random.getrandbits(128), version=4)
        for at, command in simulation.commands:
            self.clock.now = at
            self._execute(ledger, id, command, random)
        return Life(id, simulation, ledger)

    def _execute(self, ledger: Ledger, id: UUID, command: Command, random: Random) -> None:
        """Execute a command; a charge is reversed as in production, by a dispute that is upheld."""
        if not isinstance(command, ReverseCharge):
            assert isinstance(ledger.execute(id, command, BY), Charged | Done | Refused)
            return
        dispute_id = self._disputes.get((id, command.generation_id))
        if dispute_id is None:
            dispute_id = self._disputes[id, command.generation_id] = UUID(int=random.getrandbits(128), version=4)
            opened = OpenDispute(dispute_id, command.generation_id, "duplicate", "")
            assert isinstance(ledger.execute(id, opened, BY), Disputed)
        upheld = ResolveDispute(dispute_id, command.generation_id, "upheld", "", command.credit_to)
        assert isinstance(ledger.execute(id, upheld, BY), Disputed | Refused)


@dataclass
class Life:
    """A recorded history, with the simulation that made it."""

    id: UUID
    simulation: Simulation
    ledger: Ledger

    def balance(self, at: datetime) -> Balance:
        """What the model computes, with the version of the last event recorded by then."""
        recorded = sum(recorded_at <= at for recorded_at, _ in self.simulation.history.recorded)
        return self.simulation.model.balance(at)._replace(version=recorded)

    def instants(self) -> list[datetime]:
        """Every instant of a command, an event or a boundary, and the instants right before and after each."""
        began_at, now = self.simulation.instants[0], self.simulation.at
        instants = {*self.simulation.instants, *(at for at, _ in self.simulation.history.recorded)}
        at = began_at
        while (ends_at := self.simulation.model.balance(at).cycle.ends_at) <= now and ends_at > at:
            instants.add(ends_at)
            at = ends_at
        beside = {at + offset * MICROSECOND for at in instants for offset in (-1, 0, 1)}
        return sorted(at for at in beside if began_at <= at <= now)


@pytest.fixture
def recorder(listener: Listener, database_url: str, clock: SettableClock) -> Iterator[Recorder]:
    with ExitStack() as parts:
        server = parts.enter_context(running_server(listener, database_url, odd_catalogue(), clock))
        ledgers = {
            policy: parts.enter_context(
                Ledger(database_url, SCHEMA, odd_catalogue(policy), clock=clock, snapshot_interval=7)
            )
            for policy in POLICIES
        }
        connection = parts.enter_context(connect(database_url, autocommit=True))
        yield Recorder(ledgers, clock, connection, parts.enter_context(server.client()))


@pytest.mark.parametrize("histories", [SHORT, LONG])
def test_the_past_is_what_an_independent_fold_makes_of_it(recorder: Recorder, histories: int) -> None:
    random, counts = seeded("the past of random histories"), Counter[str]()
    for number in range(histories):
        life = recorder.record(Random(random.getrandbits(64)))
        where = f"history {number}, subscription {life.id}"
        past = AsOf(SCHEMA, recorder.clock)
        for at in life.instants():
            state = past.at_instant(recorder.connection, life.id, at)
            assert state is not None, where
            assert balance_of(state.state) == life.balance(at), f"{where}, at {at}"
            counts["instants"] += 1
        for version, fact in enumerate(stored_facts(recorder.connection, life.id), start=1):
            state = past.at_version(recorder.connection, life.id, version)
            assert state is not None, where
            assert (state.last_event.originator_version, _fact(balance_of(state.state))) == (version, fact), where
            counts["versions"] += 1
        _check_now(recorder, life)
        counts["histories"] += 1
    print(dict(counts))
    assert counts["instants"] > 10 * histories


def stored_facts(connection: Connection[Any], id: UUID) -> Iterator[Fact]:
    """Yield the state after each stored event of a stream."""
    query = b"SELECT topic, state FROM tallystick.ledger_events WHERE originator_id = %s ORDER BY originator_version"
    return fold_events(connection.execute(query, [id]).fetchall())


def _fact(balance: Balance) -> Fact:
    return Fact(**{name: getattr(balance, name) for name in Fact._fields})


def _check_now(recorder: Recorder, life: Life) -> None:
    """Check that as-of now agrees with the live reads, before and after due boundaries are recorded."""
    path, now = f"/v1/subscriptions/{life.id}", {"at": life.simulation.at.isoformat()}
    for _ in range(2):
        live, past, subscription = (
            recorder.http.get(f"{path}{resource}", params=query).json()
            for resource, query in (("/balance", {}), ("/as-of", now), ("", {}))
        )
        assert (past["balance"], past["subscription"]) == (live, subscription)
        life.ledger.execute(life.id, RecordDue(), BY)


@pytest.mark.parametrize("histories", [SHORT, LONG])
def test_without_a_change_a_replay_is_what_happened(recorder: Recorder, histories: int) -> None:
    random, counts = seeded("replays of random histories"), Counter[str]()
    for number in range(histories):
        life = recorder.record(Random(random.getrandbits(64)))
        past = AsOf(SCHEMA, recorder.clock)
        what_if = WhatIf(past, SCHEMA, life.simulation.history.catalogue)
        for until in {life.simulation.at, random.choice(life.simulation.instants)}:
            where = f"history {number}, subscription {life.id}, until {until}"
            result = what_if.replay(recorder.connection, life.id, Changes(), until)
            state = past.at_instant(recorder.connection, life.id, until)
            assert result is not None, where
            assert state is not None, where
            assert result.differences == [], where
            assert result.replayed == result.actual == state.view().balance, where
            counts["replays"] += 1
        counts["charges without which"] += _check_without_a_charge(recorder, life, what_if, random)
    print(dict(counts))
    assert counts["charges without which"] > histories // 4


def _check_without_a_charge(recorder: Recorder, life: Life, what_if: WhatIf, random: Random) -> int:
    """Check that without one of its charges the stored history replays as the same history in memory.

    Returns how many charges were left out, 0 or 1.
    """
    charges = sorted(life.simulation.history.charges)
    if not charges:
        return 0
    changes = Changes(without_generations=frozenset([random.choice(charges)]))
    result = what_if.replay(recorder.connection, life.id, changes, life.simulation.at)
    expected = replay(life.simulation.history, changes, life.simulation.at)
    assert result is not None
    assert [(each.version, each.type, each.generation_id or None) for each in result.differences] == [
        (each.version, each.type, each.generation_id) for each in expected.differences
    ]
    return 1
