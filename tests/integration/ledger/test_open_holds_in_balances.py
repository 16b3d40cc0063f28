"""Open holds lie in the balance row. Those of a program of before, in the renewal row, are moved, or read there."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import Connection

from projections.balance.queries import BalanceQueries
from projections.renewal.project import RENEWAL
from projections.renewal.queries import RenewalQueries
from projections.writers import StateRowsWriter
from services.ledger.ledger import Ledger
from services.migrations.migrate import migrate
from services.postgres.database import connect
from services.subscription.commands import HoldCredits, ReleaseHold
from services.subscription.state import Subscription
from tests.conftest import SCHEMA
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import BY, charge, start


def hold(ledger: Ledger, id: UUID, generation_id: str) -> None:
    ledger.execute(id, HoldCredits(generation_id, "lyria-3"), BY)


def state_of(connection: Connection[Any], id: UUID) -> Subscription:
    found = RenewalQueries(SCHEMA).find(connection, id)
    assert found is not None
    return found.state


@pytest.fixture
def held(ledger: Ledger) -> UUID:
    """A subscription with two open holds, one that ended, and a charge behind them."""
    id = start(ledger)
    for generation_id in ("a", "b", "c"):
        hold(ledger, id, generation_id)
    ledger.execute(id, ReleaseHold("b"), BY)
    charge(ledger, id, "track")
    return id


def write_as_before(connection: Connection[Any], id: UUID, state: Subscription) -> None:
    """Write the renewal row as a program of before did with each hold."""
    StateRowsWriter(RENEWAL, SCHEMA).write(connection, {id: RENEWAL.project(state, 0)})


def test_a_hold_and_its_end_leave_the_renewal_row_alone(ledger: Ledger, held: UUID, database_url: str) -> None:
    before = Books(database_url).rows("renewal")
    hold(ledger, held, "d")
    ledger.execute(held, ReleaseHold("a"), BY)

    assert Books(database_url).rows("renewal") == before
    with connect(database_url) as connection:
        assert [each.generation_id for each in state_of(connection, held).holds] == ["c", "d"]
    Books(database_url).check()


def test_open_holds_are_moved_by_the_migration(held: UUID, database_url: str) -> None:
    with connect(database_url, autocommit=True) as connection:
        state, rows = state_of(connection, held), Books(database_url).rows("balance")
        write_as_before(connection, held, state)
        connection.execute("ALTER TABLE tallystick.balance DROP COLUMN holds")
        connection.execute("DROP TABLE tallystick.console_sessions")
        connection.execute("UPDATE tallystick.alembic_version SET version_num = '0017'")

        assert migrate(database_url, SCHEMA)[0] == "0018"

        assert Books(database_url).rows("balance") == rows
        assert state_of(connection, held) == state


@pytest.mark.parametrize(
    "then", [lambda state: state, lambda state: msgspec.structs.replace(state, holds=state.holds[:1])]
)
def test_holds_that_a_program_of_before_writes_are_read(
    held: UUID, database_url: str, then: Callable[[Subscription], Subscription]
) -> None:
    """It leaves the column as it was, writes the renewal row, and what is held in sum."""
    with connect(database_url, autocommit=True) as connection:
        state = then(state_of(connection, held))
        write_as_before(connection, held, state)
        connection.execute(
            "UPDATE tallystick.balance SET holds = %s, held_credits = %s, holds_expire_at = %s",
            ["[]" if len(state.holds) == 2 else _column(connection, held), state.held_credits, state.holds_expire_at],
        )
        assert state_of(connection, held) == state


def _column(connection: psycopg.Connection[Any], id: UUID) -> str:
    return BalanceQueries(SCHEMA).find(connection, [id])[id].row.holds
