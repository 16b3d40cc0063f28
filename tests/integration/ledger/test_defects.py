"""One command's failure is its own: nothing of it is stored, and the others in its batch are carried out."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from services.catalogue import Catalogue
from services.catalogue.model import InvalidSettings, Quote, Settings, UnknownModel
from services.ledger.ledger import Ledger
from services.ledger.lookups import BrokenStream
from services.ledger.mapper import UnreadableEvent
from services.ledger.submission import Answer, Charged, Done, Failed, IdempotencyKey, Submission
from services.subscription.commands import ChargeGeneration, RecordDue, StartSubscription, UpgradePlan
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, STARTER, charge, start, together, track

DEFECTIVE = ChargeGeneration("track-defective", "defective")


class DefectiveCatalogue(Catalogue):
    """Meets a defect when it is to price one model."""

    def quote(self, model: str, settings: Settings, at: datetime) -> Quote | UnknownModel | InvalidSettings:
        """As the catalogue that it is, but for the model."""
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

    before, failed, after = together(ledger, (id, track("track-1")), (id, DEFECTIVE), (id, track("track-2")))

    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ZeroDivisionError)
    assert not failed.may_have_happened
    assert tally([before, after]) == {"Charged": 2}
    assert books.types(id)[2:] == ["GenerationCharged"] * 2
    books.check()


def test_what_was_due_before_a_defect_is_left_to_the_next_command(
    ledger: Ledger, clock: SettableClock, books: Books
) -> None:
    id = start(ledger)
    clock.advance(days=31)

    failed, charged = together(ledger, (id, DEFECTIVE), (id, track("track-1")))

    assert tally([failed, charged]) == {"Failed": 1, "Charged": 1}
    assert books.types(id)[2:] == ["CycleReset", "TermRenewed", "GenerationCharged"]
    books.check()


def _unwritable(_answer: Answer) -> bytes:
    raise ZeroDivisionError


def test_a_command_whose_answer_cannot_be_kept_did_not_happen(ledger: Ledger, books: Books) -> None:
    id = start(ledger, "ai-starter-7500-monthly")
    key = IdempotencyKey("key", b"hash", _unwritable)

    answers = together(
        ledger,
        (id, track("track-refused"), key),
        (id, UpgradePlan("max-pro-240000-yearly"), key),
        (id, UpgradePlan(STARTER)),
    )

    assert tally(answers) == {"Failed": 2, "Done": 1}
    assert (books.count("refusals"), books.count("idempotent_answers")) == (0, 0)
    assert books.types(id)[2:] == ["PlanUpgraded"]
    books.check()


@pytest.mark.parametrize("account_id", ["a\0b", "a\ud800b"], ids=["no text to PostgreSQL", "no text to anyone"])
def test_what_cannot_be_stored_fails_alone(ledger: Ledger, books: Books, account_id: str) -> None:
    id = start(ledger)
    unstorable = uuid4()

    answers = together(
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


def test_an_asker_that_raises_does_not_stop_the_lane(ledger: Ledger, books: Books) -> None:
    id = start(ledger)

    def is_gone(_submission: Submission, _answer: Answer) -> None:
        raise RuntimeError("the event loop is closed")

    ledger.lane.submit(Submission(id, track("track-1"), BY, is_gone))

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
    """A superuser's connection on which triggers do not fire."""
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
        "UPDATE tallystick.ledger_events SET topic = 'Unheard' WHERE originator_id = %s AND originator_version = 4",
        [damaged],
    )

    answers = together(other, (damaged, track("track-3")), (sound, track("track-1")), (damaged, track("track-1")))

    failed, charged, replayed = answers
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, UnreadableEvent)
    assert str(damaged) in str(failed.error)
    assert tally([charged]) == {"Charged": 1}
    assert replayed == Charged(first.charge, is_replay=True), "an earlier charge can still be answered"


def test_a_charge_whose_event_is_unreadable_fails_alone(
    ledger: Ledger, damage: psycopg.Connection[tuple[object, ...]]
) -> None:
    id = start(ledger)
    charge(ledger, id, "track-1")
    damage.execute("UPDATE tallystick.ledger_events SET state = '{}' WHERE topic = 'GenerationCharged'")

    answers = together(ledger, (id, track("track-1")), (id, track("track-2")))

    assert tally(answers) == {"Failed": 1, "Charged": 1}


@pytest.mark.parametrize("version", [2, 9], ids=["behind its events", "ahead of its events"])
def test_nothing_is_written_to_a_stream_that_its_balance_row_contradicts(
    ledger: Ledger, other: Ledger, damage: psycopg.Connection[tuple[object, ...]], version: int
) -> None:
    id, sound = start(ledger), start(ledger)
    charge(ledger, id, "track-1")
    damage.execute("UPDATE tallystick.balance SET version = %s WHERE subscription_id = %s", [version, id])

    for each in (ledger, other):
        answers = together(each, (id, track("track-2")), (sound, RecordDue()))
        failed, done = answers
        assert isinstance(done, Done)
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, BrokenStream)


def test_the_database_refuses_a_negative_balance_whatever_is_decided(
    ledger: Ledger, books: Books, damage: psycopg.Connection[tuple[object, ...]]
) -> None:
    """The last line of defence: here the events say that there are credits, and the table does not take it."""
    id, sound = start(ledger), start(ledger)
    damage.execute("UPDATE tallystick.balance SET granted_credits = 100 WHERE subscription_id = %s", [id])

    failed, charged = together(ledger, (id, track("track-1")), (sound, track("track-1")))

    assert isinstance(failed, Failed)
    assert isinstance(failed.error, psycopg.errors.CheckViolation)
    assert not failed.may_have_happened
    assert tally([charged]) == {"Charged": 1}
    assert [key[0] for key in books.charged()] == [sound]


def test_a_stored_charge_that_nothing_explains_does_not_hold_up_the_lane(
    ledger: Ledger, damage: psycopg.Connection[tuple[object, ...]]
) -> None:
    """A row of the charges table without its event: the insert collides however often it is tried."""
    id, sound = start(ledger), start(ledger)
    damage.execute("INSERT INTO tallystick.charges VALUES (%s, 'track-1', 77)", [id])

    failed, charged = together(ledger, (id, track("track-1")), (sound, track("track-1")))

    assert isinstance(failed, Failed)
    assert isinstance(failed.error, psycopg.errors.UniqueViolation)
    assert tally([charged]) == {"Charged": 1}


def test_an_unknown_stream_is_no_defect(ledger: Ledger) -> None:
    assert tally([ledger.execute(UUID(int=7), track("track-1"), BY)]) == {"unknown_subscription": 1}
