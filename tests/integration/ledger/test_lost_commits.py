"""A commit whose answer is lost: stored or not, everything happens once and is answered as if nothing had been lost.

Each loss is one of two that the lane cannot tell apart: `stored` or `not stored`.
"""

from datetime import UTC, datetime
from itertools import product
from uuid import UUID, uuid4

import pytest

from services.catalogue import Catalogue
from services.ledger import lane
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Charged, Done, Failed, IdempotencyKey, Repeated
from services.migrations.migrate import migrate
from services.postgres.embedded import EmbeddedPostgres
from services.subscription.commands import RecordDue, ScheduleDowngrade, StartSubscription, UpgradePlan
from tests.conftest import SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.breaking import Fate, Fates, break_commits
from tests.integration.ledger.lanes import BY, STARTER, Asked, charge, start, together, track

LOSSES: tuple[Fate, Fate] = ("stored", "not stored")
GONE: list[Fate] = ["unreachable"] * 1000
ONE_TO_FOUR_LOSSES = [losses for count in (1, 2, 3, 4) for losses in product(LOSSES, repeat=count)]


@pytest.fixture
def fates(ledger: Ledger, database_url: str) -> Fates:
    """What becomes of the ledger's commits."""
    return break_commits(ledger, database_url)


def test_a_charge_happens_once(ledger: Ledger, fates: Fates, books: Books, subtests: pytest.Subtests) -> None:
    id = start(ledger)
    for losses in ONE_TO_FOUR_LOSSES:
        generation_id = "-".join(losses).replace(" ", "-")
        with subtests.test(losses=losses):
            fates.come(*losses)

            charged = charge(ledger, id, generation_id)

            assert not charged.is_replay, "nobody was told of it before"
            assert books.charged()[id, generation_id] == charged.charge
    assert fates.losses == sum(map(len, ONE_TO_FOUR_LOSSES))
    books.check()


def test_a_subscription_starts_once(ledger: Ledger, fates: Fates, books: Books, subtests: pytest.Subtests) -> None:
    for losses in ONE_TO_FOUR_LOSSES:
        id = uuid4()
        with subtests.test(losses=losses):
            fates.come(*losses)

            started = ledger.execute(id, StartSubscription("account-1", STARTER), BY)

            assert isinstance(started, Done)
            assert started.event_count == 2, "it is not taken for one that was there before"
            assert books.types(id) == ["SubscriptionStarted", "CreditsGranted"]
    assert fates.losses == sum(map(len, ONE_TO_FOUR_LOSSES))
    books.check()


def _render(answer: Answer) -> bytes:
    return repr(answer).encode()


STARTED, UPGRADED, POOR, DUE, NEW = (UUID(int=number) for number in range(1, 6))
SMALL = "ai-starter-7500-monthly"
# Every kind of command and of answer: charges, a replay, refusals with and without a key, changes, a start.
BATCH: tuple[Asked, ...] = (
    (STARTED, track("track-1")),
    (STARTED, track("track-0")),
    (POOR, track("track-1")),
    (POOR, track("track-2"), IdempotencyKey("refused", b"1", _render)),
    (UPGRADED, UpgradePlan("max-pro-240000-yearly"), IdempotencyKey("upgraded", b"2", _render)),
    (UPGRADED, track("track-1")),
    (UPGRADED, UpgradePlan(SMALL)),
    (DUE, ScheduleDowngrade(SMALL)),
    (DUE, RecordDue()),
    (NEW, StartSubscription("account-5", STARTER)),
    (NEW, track("track-1")),
    (STARTED, track("track-1")),
)


def _prepare(ledger: Ledger, clock: SettableClock) -> None:
    """Subscriptions whose first month has just ended, which is not recorded yet."""
    for id, plan_id in ((STARTED, STARTER), (UPGRADED, SMALL), (POOR, SMALL), (DUE, STARTER)):
        ledger.execute(id, StartSubscription(f"account-{id.int}", plan_id), BY)
    charge(ledger, STARTED, "track-0")
    clock.advance(days=31, hours=1)


@pytest.fixture(scope="module")
def undisturbed(postgres: EmbeddedPostgres, catalogue: Catalogue) -> list[Answer]:
    """What the batch is answered where nothing is lost."""
    clock = SettableClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    migrate(postgres.url, "undisturbed")
    with Ledger(postgres.url, "undisturbed", catalogue, clock=clock) as ledger:
        _prepare(ledger, clock)
        return together(ledger, *BATCH)


@pytest.mark.parametrize("losses", [*ONE_TO_FOUR_LOSSES[:6], ("not stored", "stored", "not stored")], ids=", ".join)
def test_a_batch_of_everything_is_answered_as_if_nothing_had_been_lost(
    ledger: Ledger,
    fates: Fates,
    books: Books,
    clock: SettableClock,
    undisturbed: list[Answer],
    losses: tuple[Fate, ...],
) -> None:
    _prepare(ledger, clock)
    fates.come("kept", *losses)  # the command that holds the lane has a commit of its own

    answers = together(ledger, *BATCH)

    assert fates.losses == len(losses)
    assert tally(undisturbed) == {"Charged": 5, "Done": 4, "not_in_plan": 2, "not_an_upgrade": 1}
    for answer, expected in zip(answers, undisturbed, strict=True):
        assert answer in (expected, Repeated(_render(expected)))
    assert books.count("refusals") == 2
    books.check()


def test_another_process_may_charge_meanwhile(ledger: Ledger, other: Ledger, fates: Fates, books: Books) -> None:
    id = start(ledger)
    fates.meanwhile = lambda: other.execute(id, track("track-1"), Metadata("key-2", "request-2"))
    fates.come("not stored")

    assert charge(ledger, id, "track-1").is_replay
    books.check()


def test_another_process_may_write_on_behind_the_lost_commit(
    ledger: Ledger, other: Ledger, fates: Fates, books: Books
) -> None:
    id = start(ledger)
    fates.meanwhile = lambda: charge(other, id, "track-2")
    fates.come("stored")

    charged = charge(ledger, id, "track-1")

    assert not charged.is_replay
    assert (charged.charge.version, charged.charge.balance_after) == (3, 16_350)
    books.check()


def test_an_outcome_that_cannot_be_learnt_in_time_is_said_to_be_unknown(
    ledger: Ledger, fates: Fates, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = start(ledger)
    monkeypatch.setattr(lane, "PATIENCE_SECONDS", 0.1)
    fates.come("stored", *GONE)

    failed = ledger.execute(id, track("track-1"), BY)

    assert isinstance(failed, Failed)
    assert failed.may_have_happened

    fates.clear()
    assert charge(ledger, id, "track-1").is_replay, "asking again tells"
    books.check()


def test_what_was_never_sent_is_known_not_to_have_happened(
    ledger: Ledger, fates: Fates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "PATIENCE_SECONDS", 0.1)
    fates.come(*GONE)

    failed = ledger.execute(UUID(int=1), StartSubscription("account-1", STARTER), BY)

    assert isinstance(failed, Failed)
    assert not failed.may_have_happened


def test_a_boundary_that_someone_else_recorded_is_not_taken_for_ones_own_charge(
    ledger: Ledger, other: Ledger, fates: Fates, books: Books, clock: SettableClock
) -> None:
    """At the same instant and for the same request, which a frozen clock allows, the two are the same byte for byte."""
    id = start(ledger)
    clock.advance(days=31, hours=1)
    fates.meanwhile = lambda: charge(other, id, "elsewhere")
    fates.come("not stored")

    charged = charge(ledger, id, "track-1")

    assert not charged.is_replay
    assert books.charged()[id, "track-1"] == charged.charge
    books.check()


def test_a_server_that_comes_back_within_two_seconds_is_waited_for(ledger: Ledger, fates: Fates, books: Books) -> None:
    id = start(ledger)
    fates.come("kept", "stored", *GONE[:5])

    answers = together(ledger, *[(id, track(f"track-{number}")) for number in range(20)])

    assert tally(answers) == {"Charged": 20}
    assert not any(answer.is_replay for answer in answers if isinstance(answer, Charged))
    books.check()


def test_while_the_server_is_gone_the_overdue_are_answered_at_once(
    ledger: Ledger, fates: Fates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a queue of thousands would wait for a connection time-out a batch."""
    monkeypatch.setattr(lane, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(lane, "BATCH_LIMIT", 1)
    fates.come(*GONE)

    answers = together(ledger, *[(UUID(int=number), StartSubscription("account", STARTER)) for number in range(300)])

    assert tally(answers) == {"Failed": 300}
    assert fates.attempts_to_connect < 100


@pytest.mark.parametrize("losses", [("stored",), ("not stored",), ("stored", "stored")], ids=", ".join)
def test_an_answer_under_a_key_is_kept_with_what_it_answers(
    ledger: Ledger, fates: Fates, books: Books, losses: tuple[Fate, ...]
) -> None:
    id = start(ledger)
    key = IdempotencyKey("key", b"hash", _render)
    fates.come(*losses)

    upgraded = ledger.execute(id, UpgradePlan("max-pro-240000-yearly"), BY, idempotency=key)
    again = ledger.execute(id, UpgradePlan("max-pro-240000-yearly"), BY, idempotency=key)

    assert isinstance(upgraded, Done)
    assert again == Repeated(_render(upgraded))
    assert books.types(id)[2:] == ["PlanUpgraded"]
