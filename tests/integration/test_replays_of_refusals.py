"""What-if over many refusals on a real PostgreSQL: they are read in parts, and a replay may end between any two."""

from itertools import count
from uuid import UUID

import pytest
from psycopg import Connection
from psycopg.pq import TransactionStatus

from services.catalogue import Catalogue, Settings
from services.ledger.as_of import AsOf
from services.ledger.ledger import Ledger
from services.ledger.recorder import PAGE_EVENTS
from services.ledger.submission import Charged, Refused
from services.ledger.what_if import WhatIf
from services.postgres.database import connect
from services.subscription.commands import ChargeGeneration
from services.subscription.what_if import Changes
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.lanes import BY, start, track

REFUSALS = 2 * PAGE_EVENTS + 1


class Ended(RuntimeError):
    """Nobody waits for the replay any more."""


@pytest.fixture
def subscription_id(ledger: Ledger) -> UUID:
    """A film for 16,400 of 16,500 credits, and tracks for 150 that are refused."""
    id = start(ledger)
    film = ChargeGeneration("film", "example-image-1", Settings(count=820))
    assert isinstance(ledger.execute(id, film, BY), Charged)
    for number in range(REFUSALS):
        assert isinstance(ledger.execute(id, track(f"track-{number}"), BY), Refused)
    return id


@pytest.fixture
def what_if(catalogue: Catalogue, clock: SettableClock) -> WhatIf:
    return WhatIf(AsOf(SCHEMA, clock), SCHEMA, catalogue)


def test_every_refusal_is_decided_anew(
    what_if: WhatIf, subscription_id: UUID, database_url: str, clock: SettableClock
) -> None:
    changes = Changes(without_generations=frozenset({"film"}))
    with connect(database_url, autocommit=True) as connection:
        answer = what_if.replay(connection, subscription_id, changes, clock.now)
    assert answer is not None
    paid = {
        each.generation_id for each in answer.differences if each.replayed and each.replayed["outcome"] == "charged"
    }
    assert paid == {f"track-{number}" for number in range(REFUSALS)}


@pytest.mark.parametrize("steps", [1, 3, 4, PAGE_EVENTS + 3, PAGE_EVENTS + 4, REFUSALS, REFUSALS + 3, REFUSALS + 4])
def test_a_replay_that_ends_early_leaves_its_connection_free(
    what_if: WhatIf, subscription_id: UUID, database_url: str, clock: SettableClock, steps: int
) -> None:
    taken = count(1)

    def on_step() -> None:
        if next(taken) == steps:
            raise Ended

    with connect(database_url, autocommit=True) as connection:
        with pytest.raises(Ended):
            what_if.replay(connection, subscription_id, Changes(), clock.now, on_step)
        assert _is_free(connection)
        assert what_if.replay(connection, subscription_id, Changes(), clock.now) is not None


def _is_free(connection: Connection[tuple[object, ...]]) -> bool:
    in_use = connection.execute("SELECT count(*) FROM pg_cursors").fetchone() != (0,)
    return connection.info.transaction_status == TransactionStatus.IDLE and not in_use
