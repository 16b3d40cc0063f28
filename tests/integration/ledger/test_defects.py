"""One command's failure is its own: nothing of it is stored, and the others in its batch are carried out.

`tests/unit/ledger/test_defects.py` has what is decided without a database.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import uuid4

import psycopg
import pytest

from services.catalogue import Catalogue
from services.catalogue.model import InvalidSettings, Quote, Settings, UnknownModel
from services.ledger.ledger import Ledger
from services.ledger.lookups import BrokenStream
from services.ledger.mapper import UnreadableEvent
from services.ledger.submission import Answer, Charged, Done, Failed, Submission
from services.subscription.commands import ChargeGeneration, RecordDue, StartSubscription
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, STARTER, charge, in_one_batch, start, track

DEFECTIVE = ChargeGeneration("track-defective", "defective")


class DefectiveCatalogue(Catalogue):
    """Meets a defect when it is to price one model."""

    def quote(self, model: str, settings: Settings, at: datetime) -> Quote | UnknownModel | InvalidSettings:
        """Quote like any catalogue, but for that model."""
        if model == "defective":
            raise ZeroDivisionError
        return super().quote(model, settings, at)


@pytest.fixture
def ledger(database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Ledger]:
    """A ledger with the defective catalogue."""
    defective = DefectiveCatalogue(catalogue.plans, catalogue.rate_cards)
    with Ledger(database_url, SCHEMA, defective, clock=clock) as opened:
        yield opened


def test_a_defect_in_deciding_is_an_answer_and_leaves_nothing(ledger: Ledger, books: Books) -> None:
    id = start(ledger)

    before, failed, after = in_one_batch(ledger, (id, track("track-1")), (id, DEFECTIVE), (id, track("track-2")))

    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ZeroDivisionError)
    assert not failed.may_have_happened
    assert tally([before, after]) == {"Charged": 2}
    assert books.types(id)[2:] == ["GenerationCharged"] * 2
    books.check()


@pytest.mark.parametrize("account_id", ["a\0b", "a\ud800b"], ids=["no text to PostgreSQL", "no text to anyone"])
def test_what_cannot_be_stored_fails_alone(ledger: Ledger, books: Books, account_id: str) -> None:
    id = start(ledger)
    unstorable = uuid4()

    answers = in_one_batch(
        ledger,
        (id, track("track-1")),
        (unstorable, StartSubscription(account_id, STARTER)),
        (id, track("track-2")),
    )

    assert tally(answers) == {"Charged": 2, "Failed": 1}
    failed = answers[1]
    assert isinstance(failed, Failed)
    assert not failed.may_have_happened
    assert not books.stream(unstorable)
    books.check()


def test_a_callback_that_raises_does_not_stop_the_lane(ledger: Ledger, books: Books) -> None:
    id = start(ledger)

    def fail(_submission: Submission, _answer: Answer) -> None:
        raise RuntimeError("the event loop is closed")

    ledger.lane.submit(Submission(id, track("track-1"), BY, fail))

    charge(ledger, id, "track-2")
    assert len(books.charged()) == 2


def test_a_clock_that_fails_does_not_stop_the_lane(
    ledger: Ledger, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = start(ledger)
    with monkeypatch.context() as broken:
        broken.setattr(SettableClock, "__call__", lambda _self: 1 / 0)
        assert tally([ledger.execute(id, RecordDue(), BY)]) == {"Failed": 1}

    assert tally([ledger.execute(id, RecordDue(), BY)]) == {"Done": 1}


@pytest.fixture
def damage(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A superuser's connection on which no trigger fires."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def test_a_stream_with_an_unreadable_event_fails_alone(
    ledger: Ledger, other: Ledger, damage: psycopg.Connection[tuple[object, ...]]
) -> None:
    sound, damaged = start(ledger), start(ledger)
    first = charge(ledger, damaged, "track-1")
    charge(ledger, damaged, "track-2")
    damage.execute(
        "UPDATE tallystick.ledger_events SET topic = 'Unknown' WHERE originator_id = %s AND originator_version = 4",
        [damaged],
    )

    answers = in_one_batch(other, (damaged, track("track-3")), (sound, track("track-1")), (damaged, track("track-1")))

    failed, charged, replayed = answers
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, UnreadableEvent)
    assert str(damaged) in str(failed.error)
    assert tally([charged]) == {"Charged": 1}
    assert replayed == Charged(first.charge, is_replay=True), "an earlier charge can still be answered"


@pytest.mark.parametrize("version", [2, 9], ids=["behind its events", "ahead of its events"])
def test_nothing_is_written_to_a_stream_that_its_balance_row_contradicts(
    ledger: Ledger, other: Ledger, damage: psycopg.Connection[tuple[object, ...]], version: int
) -> None:
    id, sound = start(ledger), start(ledger)
    charge(ledger, id, "track-1")
    damage.execute("UPDATE tallystick.balance SET version = %s WHERE subscription_id = %s", [version, id])

    for each in (ledger, other):
        answers = in_one_batch(each, (id, track("track-2")), (sound, RecordDue()))
        failed, done = answers
        assert isinstance(done, Done)
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, BrokenStream)


def test_the_database_refuses_a_negative_balance_whatever_is_decided(
    ledger: Ledger, books: Books, damage: psycopg.Connection[tuple[object, ...]]
) -> None:
    """The last line of defence: the events say that there are credits, and the table refuses the row."""
    id, sound = start(ledger), start(ledger)
    damage.execute("UPDATE tallystick.balance SET granted_credits = 100 WHERE subscription_id = %s", [id])

    failed, charged = in_one_batch(ledger, (id, track("track-1")), (sound, track("track-1")))

    assert isinstance(failed, Failed)
    assert isinstance(failed.error, psycopg.errors.CheckViolation)
    assert not failed.may_have_happened
    assert tally([charged]) == {"Charged": 1}
    assert [key[0] for key in books.charged()] == [sound]


def test_a_stored_charge_without_its_event_does_not_hold_up_the_lane(
    ledger: Ledger, damage: psycopg.Connection[tuple[object, ...]]
) -> None:
    """The insert collides with its row however often it is tried."""
    id, sound = start(ledger), start(ledger)
    damage.execute("INSERT INTO tallystick.charges VALUES (%s, 'track-1', 77)", [id])

    failed, charged = in_one_batch(ledger, (id, track("track-1")), (sound, track("track-1")))

    assert isinstance(failed, Failed)
    assert isinstance(failed.error, psycopg.errors.UniqueViolation)
    assert tally([charged]) == {"Charged": 1}
