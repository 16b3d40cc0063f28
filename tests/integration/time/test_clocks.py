"""Test clocks: their subscriptions live in the clock's time, on the same write path and with the same recording."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.clocks import EARLIEST, LATEST, Advanced, Backwards, Clocks, Reading
from services.clocks import Recorded as RecordedByAdvance
from services.ledger.ledger import Ledger
from services.ledger.submission import Answer, Charged, Done, Refused, UnknownTestClock
from services.postgres.database import connect
from services.renewals.recording import Tally
from services.renewals.worker import KEY_ID, RenewalWorker
from services.subscription.commands import ChargeGeneration, StartSubscription, UpgradePlan
from tests.conftest import SettableClock
from tests.integration.time.fleet import BY, HIGHER, MONTHLY, YEARLY, Recorded, put, start

STARTED = datetime(2030, 1, 31, 10, tzinfo=UTC)
RESETS = [
    datetime(2030, 2, 28, 10, tzinfo=UTC),
    datetime(2030, 3, 31, 10, tzinfo=UTC),
    datetime(2030, 4, 30, 10, tzinfo=UTC),
]


@pytest.fixture
def clock_id(clocks: Clocks) -> str:
    return clocks.create(STARTED).test_clock_id


def test_a_clock_stands_where_it_was_set(clocks: Clocks, clock_id: str, clock: SettableClock) -> None:
    clock.advance(days=1000)

    assert clocks.read(clock_id) == Reading(clock_id, STARTED)


def test_there_is_no_clock_that_nobody_made(ledger: Ledger, clocks: Clocks) -> None:
    assert clocks.read("nowhere") == UnknownTestClock("nowhere")
    assert clocks.advance("nowhere", STARTED, BY) == UnknownTestClock("nowhere")

    answer = ledger.execute(uuid4(), StartSubscription("account", MONTHLY, "nowhere"), BY)
    assert answer == Refused(UnknownTestClock("nowhere"))


def test_a_clock_only_goes_forward(clocks: Clocks, clock_id: str) -> None:
    later = STARTED + timedelta(days=1)
    clocks.advance(clock_id, later, BY)

    assert clocks.advance(clock_id, later - timedelta(microseconds=1), BY) == Backwards(later)
    assert clocks.read(clock_id) == Reading(clock_id, later)


def test_a_year_brings_twelve_resets_and_the_last_is_the_renewal(
    ledger: Ledger, clocks: Clocks, clock_id: str, recorded: Recorded
) -> None:
    (id,) = start(ledger, 1, YEARLY, test_clock_id=clock_id)
    resets = 0
    for months in range(1, 13):
        at = datetime(2031 if months == 12 else 2030, months % 12 + 1, 1, tzinfo=UTC)
        resets += _events(clocks.advance(clock_id, at, BY))
        assert resets == months - 1, "each of them is on the month's last day, at ten"

    last = datetime(2031, 1, 31, 10, tzinfo=UTC)
    assert _events(clocks.advance(clock_id, last - timedelta(microseconds=1), BY)) == 0
    assert _events(clocks.advance(clock_id, last, BY)) == 2

    assert recorded.topics(id) == ["SubscriptionStarted", "CreditsGranted", *["CycleReset"] * 12, "TermRenewed"]


def test_everything_that_is_recorded_of_a_bound_subscription_bears_its_clocks_instants(
    ledger: Ledger, clocks: Clocks, clock_id: str, recorded: Recorded
) -> None:
    (id,) = start(ledger, 1, YEARLY, test_clock_id=clock_id)
    charged = ledger.execute(id, ChargeGeneration("track-1", "lyria-3"), BY)
    clocks.advance(clock_id, RESETS[0], BY)

    assert isinstance(charged, Charged)
    assert charged.charge.charged_at == STARTED
    assert recorded.instants(id, "SubscriptionStarted") == [STARTED]
    assert recorded.instants(id, "CycleReset") == [RESETS[0]]


def test_an_upgrade_in_the_middle_of_a_cycle_restarts_both_clocks_and_the_old_anchor_never_fires_again(
    ledger: Ledger, clocks: Clocks, clock_id: str, recorded: Recorded
) -> None:
    (id,) = start(ledger, 1, YEARLY, test_clock_id=clock_id)
    upgraded_at = datetime(2030, 3, 15, 18, 30, tzinfo=UTC)
    clocks.advance(clock_id, upgraded_at, BY)
    upgraded = ledger.execute(id, UpgradePlan(HIGHER), BY)

    assert isinstance(upgraded, Done)
    assert (upgraded.state.cycle.starts_at, upgraded.state.term.starts_at) == (upgraded_at, upgraded_at)
    assert upgraded.state.cycle.ends_at == datetime(2030, 4, 15, 18, 30, tzinfo=UTC)
    assert upgraded.state.term.ends_at == datetime(2031, 3, 15, 18, 30, tzinfo=UTC)
    for month, day_of_old_anchor in ((3, 31), (4, 30), (5, 31)):
        clocks.advance(clock_id, datetime(2030, month, day_of_old_anchor, 10, tzinfo=UTC) - timedelta(days=1), BY)
        across = clocks.advance(clock_id, datetime(2030, month, day_of_old_anchor, 11, tzinfo=UTC), BY)
        assert _events(across) == 0, "nothing happens where the old anchor would have brought a reset"
    assert recorded.instants(id, "CycleReset")[1:] == [
        datetime(2030, 4, 29, 10, tzinfo=UTC),  # due on 15 April and recorded by the next advance
        datetime(2030, 5, 30, 10, tzinfo=UTC),
    ]


def test_thousands_of_subscriptions_advance_together(
    ledger: Ledger, clocks: Clocks, clock_id: str, recorded: Recorded
) -> None:
    start(ledger, 2_500, YEARLY, test_clock_id=clock_id)

    assert clocks.advance(clock_id, RESETS[1], BY) == Advanced(clock_id, RESETS[1], RecordedByAdvance(2_500, 5_000))
    assert recorded.counts("CycleReset") == Counter({2: 2_500})


@pytest.mark.parametrize("to", [datetime(2500, 1, 1, tzinfo=UTC), pytest.param(LATEST, marks=pytest.mark.long)])
def test_a_clock_can_go_on_by_centuries(ledger: Ledger, clocks: Clocks, to: datetime) -> None:
    clock_id = clocks.create(EARLIEST).test_clock_id
    (id,) = start(ledger, 1, MONTHLY, test_clock_id=clock_id)
    months = (to.year - EARLIEST.year) * 12

    assert clocks.advance(clock_id, to, BY) == Advanced(clock_id, to, RecordedByAdvance(1, 2 * months))

    charged = ledger.execute(id, ChargeGeneration("track-1", "lyria-3"), BY)
    assert isinstance(charged, Charged)
    assert charged.charge.cycle_number == months + 1


def test_subscriptions_on_other_clocks_and_on_none_stay_where_they_are(
    ledger: Ledger, clocks: Clocks, clock_id: str, recorded: Recorded
) -> None:
    start(ledger, 1, test_clock_id=clocks.create(STARTED).test_clock_id)
    start(ledger, 1)

    assert _events(clocks.advance(clock_id, RESETS[2], BY)) == 0
    assert recorded.counts("CycleReset") == Counter({0: 2})


def test_a_charge_after_centuries_that_nobody_recorded_is_right(
    ledger: Ledger, clocks: Clocks, clock_id: str, recorded: Recorded, database_url: str
) -> None:
    (id,) = start(ledger, 1, YEARLY, test_clock_id=clock_id)
    _only_move(database_url, clock_id, datetime(2530, 1, 31, 10, tzinfo=UTC))

    charged = ledger.execute(id, ChargeGeneration("track-1", "lyria-3"), BY)

    assert isinstance(charged, Charged)
    assert charged.charge.cycle_number == 500 * 12 + 1
    assert recorded.counts("CycleReset") == Counter({500 * 12: 1})


def test_after_an_advance_that_was_cut_short_reads_and_charges_are_right_and_the_worker_does_the_rest(
    ledger: Ledger, clocks: Clocks, clock_id: str, worker: RenewalWorker, recorded: Recorded, database_url: str
) -> None:
    charging, idle = start(ledger, 2, YEARLY, test_clock_id=clock_id)
    _only_move(database_url, clock_id, RESETS[1])

    charged = ledger.execute(charging, ChargeGeneration("track-1", "lyria-3"), BY)
    assert isinstance(charged, Charged)
    assert (charged.charge.cycle_number, charged.charge.charged_at) == (3, RESETS[1])

    assert worker.catch_up() == Tally(subscriptions=1, events=2)
    assert recorded.key_ids(idle)[2:] == [KEY_ID, KEY_ID]
    assert recorded.instants(idle, "CycleReset") == [RESETS[1]] * 2


def test_the_same_advance_again_does_the_rest(ledger: Ledger, clocks: Clocks, clock_id: str, database_url: str) -> None:
    start(ledger, 3, YEARLY, test_clock_id=clock_id)
    _only_move(database_url, clock_id, RESETS[1])

    assert clocks.advance(clock_id, RESETS[1], BY) == Advanced(clock_id, RESETS[1], RecordedByAdvance(3, 6))
    assert clocks.advance(clock_id, RESETS[1], BY) == Advanced(clock_id, RESETS[1], RecordedByAdvance(0, 0))


def test_what_an_advance_brings_is_its_own_even_while_a_worker_looks_for_work(
    ledger: Ledger, clocks: Clocks, clock_id: str, worker: RenewalWorker
) -> None:
    start(ledger, 500, YEARLY, test_clock_id=clock_id)
    with ThreadPoolExecutor(1) as thread:
        advancing = thread.submit(clocks.advance, clock_id, RESETS[2], BY)
        by_worker = 0
        while not advancing.done():
            by_worker += worker.record_pass().tally.subscriptions

    assert advancing.result() == Advanced(clock_id, RESETS[2], RecordedByAdvance(500, 1_500))
    assert by_worker == 0


def test_charges_go_on_while_the_clock_advances_and_each_is_in_the_cycle_of_its_instant(
    ledger: Ledger, clocks: Clocks, clock_id: str, recorded: Recorded
) -> None:
    ids = start(ledger, 200, YEARLY, test_clock_id=clock_id)
    with ThreadPoolExecutor(1) as thread:
        advancing = thread.submit(clocks.advance, clock_id, RESETS[0], BY)
        answers: list[Answer] = []
        is_over = False
        while not is_over:
            is_over = advancing.done()  # and once more afterwards
            answers += put(ledger, ((id, ChargeGeneration(f"track-{len(answers)}", "lyria-3")) for id in ids))

    cycles = set()
    for answer in answers:
        assert isinstance(answer, Charged)
        cycles.add((answer.charge.charged_at, answer.charge.cycle_number))
    assert cycles <= {(STARTED, 1), (RESETS[0], 2)}
    assert (RESETS[0], 2) in cycles
    assert recorded.counts("CycleReset") == Counter({1: 200})


def _events(advanced: Advanced | Backwards | UnknownTestClock) -> int:
    assert isinstance(advanced, Advanced)
    return advanced.recorded.events


def _only_move(database_url: str, clock_id: str, to: datetime) -> None:
    """Move the clock and record nothing, as an advance whose process is killed in the middle."""
    with closing(connect(database_url, autocommit=True)) as connection:
        connection.execute("UPDATE tallystick.test_clocks SET now = %s WHERE test_clock_id = %s", [to, clock_id])
