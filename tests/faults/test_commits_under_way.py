"""The line breaks while the server is still committing: a retry waits for that, and does nothing twice."""

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
CREATE FUNCTION tallystick.dawdle() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.25); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON tallystick.ledger_events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.topic IN ('GenerationCharged', 'SubscriptionStarted', 'PlanUpgraded'))
    EXECUTE FUNCTION tallystick.dawdle();
"""
NEW = UUID(int=1)


@pytest.fixture
def ledger(proxy: CuttingProxy, catalogue: Catalogue, database_url: str) -> Iterator[Ledger]:
    """A ledger on the line, whose commits are slow."""
    with psycopg.connect(database_url) as connection:
        connection.execute(SLOW_COMMITS)
    with Ledger(proxy.url, SCHEMA, catalogue) as opened:
        yield opened


def ask_and_cut(proxy: CuttingProxy, ask: Callable[[], Answer]) -> Answer:
    """Ask, and cut the line right behind the commit, which is under way for a while then."""
    with ThreadPoolExecutor(1) as client:
        with proxy.cutting(Cut("COMMIT", "client", BEHIND_A_STATEMENT, 0.0, "deaf")):
            answer = client.submit(ask)
        return answer.result()


def test_a_charge(ledger: Ledger, proxy: CuttingProxy, database_url: str) -> None:
    id = start(ledger)

    charged = ask_and_cut(proxy, lambda: ledger.execute(id, track("track-1"), BY))

    assert isinstance(charged, Charged)
    assert not charged.is_replay
    books = Books(database_url)
    assert books.charged() == {(id, "track-1"): charged.charge}
    books.check()


def test_a_start_for_which_there_is_no_row_to_lock_yet(ledger: Ledger, proxy: CuttingProxy, database_url: str) -> None:
    started = ask_and_cut(proxy, lambda: ledger.execute(NEW, StartSubscription("account-1", STARTER), BY))

    assert isinstance(started, Done)
    assert started.event_count == 2
    books = Books(database_url)
    assert books.types(NEW) == ["SubscriptionStarted", "CreditsGranted"]
    books.check()


def test_a_change_of_plan_under_a_key(ledger: Ledger, proxy: CuttingProxy, database_url: str) -> None:
    id = start(ledger)
    key = IdempotencyKey("key", b"request", lambda _: b"answered")

    upgraded = ask_and_cut(proxy, lambda: ledger.execute(id, UpgradePlan("max-pro-240000-yearly"), BY, idempotency=key))

    assert isinstance(upgraded, Done)
    books = Books(database_url)
    assert books.types(id)[2:] == ["PlanUpgraded"]
    assert books.query("SELECT answer FROM {}.idempotent_answers") == [(b"answered",)]
    books.check()


def test_what_arrives_late_of_a_lost_start_changes_nothing(
    ledger: Ledger, proxy: CuttingProxy, database_url: str
) -> None:
    """The statements lie somewhere between, while the retry already starts the subscription; then they arrive."""
    with ThreadPoolExecutor(1) as client:
        with proxy.cutting(Cut("COMMIT", "client", 0, 0.0, "late")):
            answer = client.submit(ledger.execute, NEW, StartSubscription("account-1", STARTER), BY)
        started = answer.result()

    assert isinstance(started, Done)
    assert started.event_count == 2
    books = Books(database_url)
    assert books.types(NEW) == ["SubscriptionStarted", "CreditsGranted"]
    books.check()
