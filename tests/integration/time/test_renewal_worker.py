"""The renewal worker makes boundaries timely: it records each once, whatever happens to it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from projections.renewal.due import Backlog
from services.ledger.ledger import Ledger
from services.ledger.submission import Charged
from services.renewals.recording import Tally
from services.renewals.worker import KEY_ID, RenewalWorker
from services.subscription.commands import CancelSubscription, ChargeGeneration, HoldCredits, ScheduleDowngrade
from tests.conftest import SettableClock
from tests.integration.time.conftest import OpenWorker
from tests.integration.time.fleet import BY, LOWER, MONTHLY, YEARLY, Recorded, start

STARTED = datetime(2026, 1, 15, 12, tzinfo=UTC)
FIRST_RESET = datetime(2026, 2, 15, 12, tzinfo=UTC)


def test_nothing_is_recorded_before_it_is_due(ledger: Ledger, worker: RenewalWorker, clock: SettableClock) -> None:
    start(ledger, 1)
    clock.now = FIRST_RESET - timedelta(microseconds=1)

    assert worker.catch_up() == Tally()


def test_a_reset_is_recorded_when_it_is_due(
    ledger: Ledger, worker: RenewalWorker, clock: SettableClock, recorded: Recorded
) -> None:
    (id,) = start(ledger, 1, YEARLY)
    clock.now = FIRST_RESET

    assert worker.catch_up() == Tally(subscriptions=1, events=1)
    assert recorded.topics(id)[2:] == ["CycleReset"]
    assert recorded.key_ids(id)[2:] == [KEY_ID]


def test_expiries_are_recorded_when_they_are_due(
    ledger: Ledger, worker: RenewalWorker, clock: SettableClock, recorded: Recorded
) -> None:
    one, other = start(ledger, 2)
    for id, seconds in ((one, 60), (one, 120), (other, 60)):
        ledger.execute(id, HoldCredits(f"{seconds} seconds", "lyria-3", expires_in_seconds=seconds), BY)
    assert worker.catch_up() == Tally()
    clock.advance(seconds=60)
    assert worker.backlog() == Backlog(2, clock.now, 0)

    assert worker.catch_up() == Tally(subscriptions=2, events=2)

    assert recorded.topics(one)[2:] == ["CreditsHeld", "CreditsHeld", "HoldReleased"]
    assert worker.backlog() == Backlog(0, None, 0)
    ledger.execute(one, CancelSubscription("now"), BY)
    clock.advance(seconds=60)
    assert worker.catch_up() == Tally(subscriptions=1, events=1)
    assert recorded.topics(one)[-2:] == ["SubscriptionEnded", "HoldReleased"]


def test_what_falls_due_at_one_instant_is_recorded_once(
    ledger: Ledger, worker: RenewalWorker, clock: SettableClock, recorded: Recorded
) -> None:
    (id,) = start(ledger, 1, YEARLY)
    clock.now = FIRST_RESET - timedelta(seconds=60)
    ledger.execute(id, HoldCredits("film", "lyria-3", expires_in_seconds=60), BY)
    clock.now = FIRST_RESET

    assert worker.backlog().due == 1
    assert worker.catch_up() == Tally(subscriptions=1, events=2)
    assert recorded.topics(id)[-2:] == ["CycleReset", "HoldReleased"]


@pytest.mark.parametrize(
    ("plan_id", "command", "topics"),
    [
        (MONTHLY, None, ["CycleReset", "TermRenewed"] * 3),
        (YEARLY, None, ["CycleReset"] * 3),
        (MONTHLY, CancelSubscription("term_end"), ["SubscriptionEnded"]),
        (YEARLY, CancelSubscription("term_end"), ["CycleReset"] * 3),
        (YEARLY, CancelSubscription("now"), []),
        (
            MONTHLY,
            ScheduleDowngrade(LOWER),
            ["CycleReset", "TermRenewed", "CycleReset", "CycleReset"],
        ),
    ],
)
def test_after_three_months_without_a_worker_every_missed_boundary_is_recorded_once(
    ledger: Ledger,
    worker: RenewalWorker,
    clock: SettableClock,
    recorded: Recorded,
    plan_id: str,
    command: CancelSubscription | ScheduleDowngrade | None,
    topics: list[str],
) -> None:
    (id,) = start(ledger, 1, plan_id)
    if command is not None:
        ledger.execute(id, command, BY)
    before = len(recorded.topics(id))
    clock.advance(days=91)

    assert worker.catch_up().events == len(topics)
    assert recorded.topics(id)[before:] == topics
    assert worker.catch_up() == Tally()


def test_a_charge_after_three_months_without_a_worker_is_right_and_leaves_it_nothing_to_do(
    ledger: Ledger, worker: RenewalWorker, clock: SettableClock, recorded: Recorded
) -> None:
    (id,) = start(ledger, 1, YEARLY)
    ledger.execute(id, ChargeGeneration("before", "lyria-3"), BY)
    clock.advance(days=91)

    answer = ledger.execute(id, ChargeGeneration("after", "lyria-3"), BY)

    assert isinstance(answer, Charged)
    assert (answer.charge.cycle_number, answer.charge.balance_after) == (4, 40_000 - 150)
    assert recorded.topics(id)[3:] == ["CycleReset"] * 3 + ["GenerationCharged"]
    assert worker.catch_up() == Tally()


def test_two_workers_share_the_work_and_record_everything_once(
    ledger: Ledger, open_worker: OpenWorker, clock: SettableClock, recorded: Recorded
) -> None:
    start(ledger, 3_000, YEARLY)
    clock.now = FIRST_RESET
    workers = [open_worker(), open_worker()]

    with ThreadPoolExecutor(2) as threads:
        tallies = list(threads.map(RenewalWorker.catch_up, workers))

    assert sum(tallies, Tally()) == Tally(subscriptions=3_000, events=3_000)
    assert recorded.counts("CycleReset") == Counter({1: 3_000})
