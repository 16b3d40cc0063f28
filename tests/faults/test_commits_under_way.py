"""The connection breaks while the server is committing: a retry waits for the commit, and does nothing twice."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.ledger.submission import Answer, Charged, Done, IdempotencyKey
from services.subscription.commands import StartSubscription, UpgradePlan
from tests.conftest import SCHEMA
from tests.faults.proxy import BEHIND_A_STATEMENT, Cut, CuttingProxy
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import BY, STARTER, start, track

# A commit takes a while once it has begun: deferred triggers run within it.
SLOW_COMMITS = """
CREATE FUNCTION tallystick.delay() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.25); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER delay AFTER INSERT ON tallystick.ledger_events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.topic IN ('GenerationCharged', 'SubscriptionStarted', 'PlanUpgraded'))
    EXECUTE FUNCTION tallystick.delay();
"""
NEW = UUID(int=1)


@pytest.fixture
def ledger(proxy: CuttingProxy, catalogue: Catalogue, database_url: str) -> Iterator[Ledger]:
    """A ledger behind the proxy, whose commits are slow."""
    with psycopg.connect(database_url) as connection:
        connection.execute(SLOW_COMMITS)
    with Ledger(proxy.url, SCHEMA, catalogue) as opened:
        yield opened


def execute_and_cut(proxy: CuttingProxy, execute: Callable[[], Answer]) -> Answer:
    """Put a command, and cut its connection right after the commit was sent, while the server is at it."""
    with ThreadPoolExecutor(1) as client:
        with proxy.cutting(Cut("COMMIT", "client", BEHIND_A_STATEMENT, 0.0, "silent")):
            answer = client.submit(execute)
        return answer.result()


def test_a_charge(ledger: Ledger, proxy: CuttingProxy, database_url: str) -> None:
    id = start(ledger)

    charged = execute_and_cut(proxy, lambda: ledger.execute(id, track("track-1"), BY))

    assert isinstance(charged, Charged)
    assert not charged.is_replay
    books = Books(database_url)
    assert books.charged() == {(id, "track-1"): charged.charge}
    books.check()


def test_a_start_which_has_no_row_to_lock_yet(ledger: Ledger, proxy: CuttingProxy, database_url: str) -> None:
    started = execute_and_cut(proxy, lambda: ledger.execute(NEW, StartSubscription("account-1", STARTER), BY))

    assert isinstance(started, Done)
    assert started.event_count == 2
    books = Books(database_url)
    assert books.types(NEW) == ["SubscriptionStarted", "CreditsGranted"]
    books.check()


def test_a_change_of_plan_under_a_key(ledger: Ledger, proxy: CuttingProxy, database_url: str) -> None:
    id = start(ledger)
    key = IdempotencyKey("key", b"request", lambda _: b"answered")

    upgraded = execute_and_cut(
        proxy, lambda: ledger.execute(id, UpgradePlan("max-pro-240000-yearly"), BY, idempotency=key)
    )

    assert isinstance(upgraded, Done)
    books = Books(database_url)
    assert books.types(id)[2:] == ["PlanUpgraded"]
    assert books.query("SELECT answer FROM {}.idempotent_answers") == [(b"answered",)]
    books.check()


def test_statements_of_a_lost_start_that_arrive_late_change_nothing(
    ledger: Ledger, proxy: CuttingProxy, database_url: str
) -> None:
    """The statements are still in the proxy while the retry starts the subscription; then they arrive."""
    with ThreadPoolExecutor(1) as client:
        with proxy.cutting(Cut("COMMIT", "client", 0, 0.0, "late")):
            answer = client.submit(ledger.execute, NEW, StartSubscription("account-1", STARTER), BY)
        started = answer.result()

    assert isinstance(started, Done)
    assert started.event_count == 2
    books = Books(database_url)
    assert books.types(NEW) == ["SubscriptionStarted", "CreditsGranted"]
    books.check()
