"""Charges decided speculatively: in one round trip, and never on an assumption that does not hold.

`tests/unit/ledger/test_speculation.py` has what is decided without a database.
"""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any
from uuid import UUID

import psycopg
import pytest

from services.ledger import lane
from services.ledger.ledger import Ledger
from services.ledger.records import StreamHead
from services.ledger.submission import Charged, GenerationIdConflict, IdempotencyKey, Refused
from services.ledger.transaction import Transaction
from services.postgres.session import Session
from services.subscription.commands import ChargeGeneration, UpgradePlan
from services.subscription.refusals import InsufficientCredits
from tests.conftest import SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.breaking import Fate, break_commits
from tests.integration.ledger.lanes import BY, charge, in_one_batch, start, track
from tests.waiting import wait_until

AFFORDABLE = 110
LARGEST = "max-pro-240000-yearly"


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A function that returns how often lanes have waited for results since it was last called."""
    waited: list[None] = []
    sync = Session.sync

    def counted(session: Session) -> None:
        waited.extend([None] * bool(session._pending))
        sync(session)

    def count() -> int:
        number = len(waited)
        waited.clear()
        return number

    monkeypatch.setattr(Session, "sync", counted)
    return count


def tracks(id: UUID, number: int, of: str = "track") -> list[tuple[UUID, ChargeGeneration]]:
    return [(id, track(f"{of}-{each}")) for each in range(number)]


def test_a_charge_takes_one_round_trip(ledger: Ledger, round_trips: Callable[[], int]) -> None:
    id = start(ledger)
    round_trips()

    charge(ledger, id, "track-1")

    assert round_trips() == 1


def test_a_refusal_takes_one_round_trip(ledger: Ledger, books: Books, round_trips: Callable[[], int]) -> None:
    id = start(ledger)
    in_one_batch(ledger, *tracks(id, AFFORDABLE))
    round_trips()

    refused = ledger.execute(id, track("one too many"), BY)

    assert round_trips() == 1
    assert tally([refused]) == {"insufficient_credits": 1}
    assert books.count("refusals") == 1


def test_a_stream_that_is_not_cached_is_looked_up(
    ledger: Ledger, other: Ledger, books: Books, round_trips: Callable[[], int]
) -> None:
    id = start(other)
    round_trips()

    charge(ledger, id, "track-1")

    assert round_trips() > 1
    books.check()


def test_after_a_misspeculation_a_lane_looks_up_for_a_while(
    ledger: Ledger, other: Ledger, round_trips: Callable[[], int], speculating: None
) -> None:
    id = start(ledger)
    charge(other, id, "elsewhere")
    counts = []
    for number in range(5):
        round_trips()
        charge(ledger, id, f"track-{number}")
        counts.append(round_trips())

    assert counts[0] > 2, "speculated, and then looked up"
    assert counts[1:] == [2, 2, 1, 1]


def test_a_lane_looks_up_for_longer_each_time_that_it_misspeculates_again(
    ledger: Ledger, other: Ledger, round_trips: Callable[[], int], speculating: None
) -> None:
    id = start(ledger)
    counts = []
    for number in range(9):
        charge(other, id, f"elsewhere-{number}")
        round_trips()
        charge(ledger, id, f"track-{number}")
        counts.append(round_trips())

    assert counts == [4, 3, 3, 4, 3, 3, 3, 3, 4]


def test_credits_that_another_process_has_spent_are_not_spent_again(
    ledger: Ledger, other: Ledger, books: Books
) -> None:
    id = start(ledger)
    in_one_batch(other, *tracks(id, AFFORDABLE, "elsewhere"))

    assert tally(in_one_batch(ledger, *tracks(id, 5))) == {"insufficient_credits": 5}
    books.check()


def test_credits_that_another_process_has_granted_can_be_spent(ledger: Ledger, other: Ledger, books: Books) -> None:
    id = start(ledger)
    in_one_batch(ledger, *tracks(id, AFFORDABLE))
    other.execute(id, UpgradePlan(LARGEST), BY)

    assert tally(in_one_batch(ledger, *tracks(id, 5, "more"))) == {"Charged": 5}
    books.check()


def test_a_generation_charged_here_or_elsewhere_is_answered_with_its_charge(
    ledger: Ledger, other: Ledger, books: Books
) -> None:
    """Whether it could still be paid for or not, alone or among others."""
    id = start(ledger)
    here, elsewhere = charge(ledger, id, "here"), charge(other, id, "elsewhere")

    answers = in_one_batch(ledger, *tracks(id, AFFORDABLE), (id, track("here")), (id, track("elsewhere")))
    alone = charge(ledger, id, "here"), charge(ledger, id, "elsewhere")

    assert tally(answers[:-2]) == {"Charged": AFFORDABLE - 2, "insufficient_credits": 2}
    assert answers[-2:] == list(alone)
    assert alone == (Charged(here.charge, is_replay=True), Charged(elsewhere.charge, is_replay=True))
    books.check()


def test_a_generation_that_was_charged_otherwise_is_a_conflict(ledger: Ledger, other: Ledger, books: Books) -> None:
    id = start(ledger)
    originals = charge(ledger, id, "here").charge, charge(other, id, "elsewhere").charge

    answers = [ledger.execute(id, ChargeGeneration(each.generation_id, "lyria-3-pro"), BY) for each in originals]

    assert answers == [Refused(GenerationIdConflict(each)) for each in originals]
    books.check()


def test_a_key_that_was_used_elsewhere_guards_its_request(ledger: Ledger, other: Ledger, books: Books) -> None:
    id, another = start(ledger), start(ledger)
    key = IdempotencyKey("key", b"the request", lambda _: b"")
    first = other.execute(id, track("track-1"), BY, idempotency=key)
    assert isinstance(first, Charged)

    again = ledger.execute(id, track("track-1"), BY, idempotency=key)
    reused = ledger.execute(
        another, track("track-1"), BY, idempotency=IdempotencyKey("key", b"another request", lambda _: b"")
    )

    assert again == Charged(first.charge, is_replay=True)
    assert tally([reused]) == {"idempotency_key_reused": 1}
    assert books.types(another) == ["SubscriptionStarted", "CreditsGranted"]
    books.check()


def test_an_expected_version_is_held_against_what_is_stored(ledger: Ledger, other: Ledger, books: Books) -> None:
    id = start(ledger)
    charge(other, id, "elsewhere")

    stale = ledger.execute(id, track("track-1"), BY, expected_versions={2})
    current = ledger.execute(id, track("track-1"), BY, expected_versions={3})

    assert tally([stale, current]) == {"version_mismatch": 1, "Charged": 1}
    books.check()


def test_a_batch_decided_early_sees_the_ones_before_it(ledger: Ledger, books: Books, speculating: None) -> None:
    id = start(ledger)

    answers = in_one_batch(ledger, *tracks(id, 115), *tracks(id, 5))

    assert [answer.charge.balance_after for answer in answers[:AFFORDABLE] if isinstance(answer, Charged)] == [
        16_500 - 150 * number for number in range(1, AFFORDABLE + 1)
    ]
    assert all(isinstance(each, Refused) and isinstance(each.refusal, InsufficientCredits) for each in answers[110:115])
    assert [answer.is_replay for answer in answers[115:] if isinstance(answer, Charged)] == [True] * 5
    books.check()


def test_a_batch_is_decided_while_the_one_before_it_is_committed(
    ledger: Ledger, speculating: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not sent before that commit is certain."""
    id = start(ledger)
    steps: list[str] = []

    def note(step: str, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def noted(*arguments: Any) -> Any:
            submissions = arguments[1] if owner is lane else arguments[0].submissions
            if submissions[0].subscription_id == id:
                steps.append(step)
            return original(*arguments)

        monkeypatch.setattr(owner, name, noted)

    note("decide", lane, "speculate")
    note("send", Transaction, "send")
    note("answer", Transaction, "answers")

    assert tally(in_one_batch(ledger, *tracks(id, 30))) == {"Charged": 30}
    assert steps == ["decide", "send", "decide", "answer", "send", "decide", "answer", "send", "answer"]


FATES: tuple[Fate, ...] = ("answered", "stored", "not stored")


@pytest.mark.parametrize("fates", [*product(FATES, repeat=3)], ids=", ".join)
def test_a_batch_decided_on_a_commit_that_is_lost_is_decided_anew(
    ledger: Ledger, database_url: str, books: Books, speculating: None, fates: tuple[Fate, ...]
) -> None:
    breaking = break_commits(ledger, database_url)
    ids = [start(ledger), start(ledger, LARGEST)]
    breaking.schedule("answered", *fates)

    answers = in_one_batch(ledger, *[(ids[number % 2], track(f"track-{number // 2}")) for number in range(50)])

    assert tally(answers) == {"Charged": 50}
    assert not any(answer.is_replay for answer in answers if isinstance(answer, Charged))
    assert books.charged() == {
        (answer.charge.subscription_id, answer.charge.generation_id): answer.charge
        for answer in answers
        if isinstance(answer, Charged)
    }
    books.check()


@pytest.mark.parametrize("loss", ["once it is stored", "while it is stored"])
def test_a_batch_decided_before_a_commit_is_lost_is_decided_anew(
    ledger: Ledger,
    database_url: str,
    books: Books,
    clock: SettableClock,
    speculating: None,
    monkeypatch: pytest.MonkeyPatch,
    loss: str,
) -> None:
    """The lost batch is committed later, with another instant and hash than the ones that it was decided on."""
    id = start(ledger)
    speculate = lane.WriterLane._speculate_on_next
    losses = 0

    def lose(of: lane.WriterLane, heads: Mapping[UUID, StreamHead]) -> None:
        nonlocal losses
        speculate(of, heads)
        if of._next_transaction is None or losses == 3:
            return
        losses += 1
        clock.advance(seconds=1)
        assert of._session is not None
        connection = of._session.connection
        if loss == "while it is stored":
            _terminate(database_url, connection.info.backend_pid)
            return
        _wait_for_commit(database_url, connection.info.backend_pid)
        connection.close()

    monkeypatch.setattr(lane.WriterLane, "_speculate_on_next", lose)
    answers = in_one_batch(ledger, *tracks(id, 60))

    assert losses == 3
    assert [answer.charge.version for answer in answers if isinstance(answer, Charged)] == list(range(3, 63))
    assert not any(answer.is_replay for answer in answers if isinstance(answer, Charged))
    books.check()


def _terminate(database_url: str, pid: int) -> None:
    with psycopg.connect(database_url, autocommit=True) as administrator:
        administrator.execute("SELECT pg_terminate_backend(%s, 120000)", [pid])


def _wait_for_commit(database_url: str, pid: int) -> None:
    with psycopg.connect(database_url, autocommit=True) as administrator:
        query = "SELECT state, query FROM pg_stat_activity WHERE pid = %s"
        wait_until(lambda: administrator.execute(query, [pid]).fetchone() == ("idle", "COMMIT"))


def test_a_batch_decided_on_a_misspeculation_is_decided_anew(
    ledger: Ledger, other: Ledger, books: Books, speculating: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where another process fills the gap that a replay left, so that the version fits by chance."""
    id = start(ledger)
    charge(ledger, id, "track-3")
    commit = lane.WriterLane._commit
    filled = 0

    def fill(of: lane.WriterLane, session: Session, transaction: Transaction) -> Any:
        nonlocal filled
        result = commit(of, session, transaction)
        if (
            of is ledger.lane
            and transaction.submissions[0].command == track("track-0")
            and not isinstance(result, Exception)
        ):
            filled += 1
            charge(other, id, "between")
        return result

    monkeypatch.setattr(lane.WriterLane, "_commit", fill)
    answers = in_one_batch(ledger, *tracks(id, 20))

    assert filled == 1
    assert tally(answers) == {"Charged": 20}
    assert [answer.is_replay for answer in answers if isinstance(answer, Charged)].count(True) == 1
    books.check()


def test_a_batch_decided_on_one_that_fails_is_decided_anew(
    ledger: Ledger, books: Books, database_url: str, speculating: None
) -> None:
    """One generation cannot be stored; those around it are, in their order."""
    with psycopg.connect(database_url, autocommit=True) as administrator:
        administrator.execute("ALTER TABLE tallystick.charges ADD CHECK (generation_id <> 'track-14')")
    id = start(ledger)
    charge(ledger, id, "first")

    answers = in_one_batch(ledger, *tracks(id, 40))

    assert tally(answers) == {"Charged": 39, "Failed": 1}
    assert [answer.charge.version for answer in answers if isinstance(answer, Charged)] == list(range(4, 43))
    books.check()
