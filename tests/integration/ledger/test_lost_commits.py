"""Lost commits: stored or not, everything happens once and is answered as if nothing had been lost.

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
from tests.integration.ledger.conftest import SkippedPauses
from tests.integration.ledger.lanes import BY, STARTER, Request, charge, in_one_batch, start, track

LOSSES: tuple[Fate, Fate] = ("stored", "not stored")
UNREACHABLE: list[Fate] = ["unreachable"] * 1000
ONE_TO_FOUR_LOSSES = [losses for count in (1, 2, 3, 4) for losses in product(LOSSES, repeat=count)]


@pytest.fixture
def fates(ledger: Ledger, database_url: str) -> Fates:
    """The fates of the ledger's commits."""
    return break_commits(ledger, database_url)


def test_a_charge_happens_once(ledger: Ledger, fates: Fates, books: Books, subtests: pytest.Subtests) -> None:
    id = start(ledger)
    for losses in ONE_TO_FOUR_LOSSES:
        generation_id = "-".join(losses).replace(" ", "-")
        with subtests.test(losses=losses):
            fates.schedule(*losses)

            charged = charge(ledger, id, generation_id)

            assert not charged.is_replay, "it was not answered before"
            assert books.charged()[id, generation_id] == charged.charge
    assert fates.losses == sum(map(len, ONE_TO_FOUR_LOSSES))
    books.check()


def test_a_subscription_starts_once(ledger: Ledger, fates: Fates, books: Books, subtests: pytest.Subtests) -> None:
    for losses in ONE_TO_FOUR_LOSSES:
        id = uuid4()
        with subtests.test(losses=losses):
            fates.schedule(*losses)

            started = ledger.execute(id, StartSubscription("account-1", STARTER), BY)

            assert isinstance(started, Done)
            assert started.event_count == 2, "it is not mistaken for one that existed before"
            assert books.types(id) == ["SubscriptionStarted", "CreditsGranted"]
    assert fates.losses == sum(map(len, ONE_TO_FOUR_LOSSES))
    books.check()


def _render(answer: Answer) -> bytes:
    return repr(answer).encode()


STARTED, UPGRADED, POOR, DUE, NEW = (UUID(int=number) for number in range(1, 6))
SMALL = "ai-starter-7500-monthly"
# Every kind of command and of answer: charges, replays, refusals with and without a key, changes, a start.
BATCH: tuple[Request, ...] = (
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


def _prepare_subscriptions(ledger: Ledger, clock: SettableClock) -> None:
    """Start subscriptions whose first month has just ended, though that is not recorded yet."""
    for id, plan_id in ((STARTED, STARTER), (UPGRADED, SMALL), (POOR, SMALL), (DUE, STARTER)):
        ledger.execute(id, StartSubscription(f"account-{id.int}", plan_id), BY)
    charge(ledger, STARTED, "track-0")
    clock.advance(days=31, hours=1)


@pytest.fixture(scope="module")
def expected_answers(postgres: EmbeddedPostgres, catalogue: Catalogue) -> list[Answer]:
    """The answers of the batch where nothing is lost."""
    clock = SettableClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    migrate(postgres.url, "undisturbed")
    with Ledger(postgres.url, "undisturbed", catalogue, clock=clock) as ledger:
        _prepare_subscriptions(ledger, clock)
        return in_one_batch(ledger, *BATCH)


@pytest.mark.parametrize("losses", [*ONE_TO_FOUR_LOSSES[:6], ("not stored", "stored", "not stored")], ids=", ".join)
def test_a_batch_of_everything_is_answered_as_if_nothing_had_been_lost(
    ledger: Ledger,
    fates: Fates,
    books: Books,
    clock: SettableClock,
    expected_answers: list[Answer],
    losses: tuple[Fate, ...],
) -> None:
    _prepare_subscriptions(ledger, clock)
    fates.schedule("answered", *losses)  # the command that holds the lane has a commit of its own

    answers = in_one_batch(ledger, *BATCH)

    assert fates.losses == len(losses)
    assert tally(expected_answers) == {"Charged": 5, "Done": 4, "not_in_plan": 2, "not_an_upgrade": 1}
    for answer, expected in zip(answers, expected_answers, strict=True):
        assert answer in (expected, Repeated(_render(expected)))
    assert books.count("refusals") == 2
    books.check()


def test_another_process_may_charge_the_generation_meanwhile(
    ledger: Ledger, other: Ledger, fates: Fates, books: Books
) -> None:
    id = start(ledger)
    fates.on_loss = lambda: other.execute(id, track("track-1"), Metadata("key-2", "request-2"))
    fates.schedule("not stored")

    assert charge(ledger, id, "track-1").is_replay
    books.check()


def test_another_process_may_append_after_the_lost_commit(
    ledger: Ledger, other: Ledger, fates: Fates, books: Books
) -> None:
    id = start(ledger)
    fates.on_loss = lambda: charge(other, id, "track-2")
    fates.schedule("stored")

    charged = charge(ledger, id, "track-1")

    assert not charged.is_replay
    assert (charged.charge.version, charged.charge.balance_after) == (3, 16_350)
    books.check()


def test_an_outcome_that_is_not_known_in_time_is_answered_as_unknown(
    ledger: Ledger, fates: Fates, books: Books, impatient: SkippedPauses
) -> None:
    id = start(ledger)
    fates.schedule("stored", *UNREACHABLE)

    failed = ledger.execute(id, track("track-1"), BY)

    assert isinstance(failed, Failed)
    assert failed.may_have_happened

    fates.clear()
    impatient.reset()
    assert charge(ledger, id, "track-1").is_replay, "a retry tells"
    books.check()


@pytest.mark.usefixtures("impatient")
def test_a_command_that_was_never_sent_is_known_not_to_have_happened(ledger: Ledger, fates: Fates) -> None:
    fates.schedule(*UNREACHABLE)

    failed = ledger.execute(UUID(int=1), StartSubscription("account-1", STARTER), BY)

    assert isinstance(failed, Failed)
    assert not failed.may_have_happened


def test_a_boundary_that_another_process_recorded_is_not_mistaken_for_the_lost_charge(
    ledger: Ledger, other: Ledger, fates: Fates, books: Books, clock: SettableClock
) -> None:
    """At the same instant and for the same request, which a frozen clock allows, both are the same byte for byte."""
    id = start(ledger)
    clock.advance(days=31, hours=1)
    fates.on_loss = lambda: charge(other, id, "elsewhere")
    fates.schedule("not stored")

    charged = charge(ledger, id, "track-1")

    assert not charged.is_replay
    assert books.charged()[id, "track-1"] == charged.charge
    books.check()


def test_a_server_that_comes_back_within_two_seconds_is_waited_for(ledger: Ledger, fates: Fates, books: Books) -> None:
    id = start(ledger)
    fates.schedule("answered", "stored", *UNREACHABLE[:5])

    answers = in_one_batch(ledger, *[(id, track(f"track-{number}")) for number in range(20)])

    assert tally(answers) == {"Charged": 20}
    assert not any(answer.is_replay for answer in answers if isinstance(answer, Charged))
    books.check()


@pytest.mark.usefixtures("impatient")
def test_while_the_server_is_unreachable_overdue_commands_are_answered_at_once(
    ledger: Ledger, fates: Fates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a queue of thousands would wait for one connection time-out a batch."""
    monkeypatch.setattr(lane, "BATCH_LIMIT", 1)
    fates.schedule(*UNREACHABLE)

    answers = in_one_batch(
        ledger, *[(UUID(int=number), StartSubscription("account", STARTER)) for number in range(300)]
    )

    assert tally(answers) == {"Failed": 300}
    assert fates.attempts_to_connect < 100


@pytest.mark.parametrize("losses", [("stored",), ("not stored",), ("stored", "stored")], ids=", ".join)
def test_a_lost_commit_stores_its_idempotency_record_once(
    ledger: Ledger, fates: Fates, books: Books, losses: tuple[Fate, ...]
) -> None:
    id = start(ledger)
    key = IdempotencyKey("key", b"hash", _render)
    fates.schedule(*losses)

    upgraded = ledger.execute(id, UpgradePlan("max-pro-240000-yearly"), BY, idempotency=key)
    again = ledger.execute(id, UpgradePlan("max-pro-240000-yearly"), BY, idempotency=key)

    assert isinstance(upgraded, Done)
    assert again == Repeated(_render(upgraded))
    assert books.types(id)[2:] == ["PlanUpgraded"]
