"""Charges at, just before and just after a boundary, from many clients, while two renewal workers run."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from services.ledger.ledger import Ledger
from services.ledger.submission import Answer, Charged
from services.renewals.worker import RenewalWorker
from services.subscription.commands import ChargeGeneration
from tests.conftest import SettableClock
from tests.integration.time.conftest import OpenWorker
from tests.integration.time.fleet import BY, MONTHLY, YEARLY, Recorded, put, start

FIRST_RESET = datetime(2026, 2, 15, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
INSTANTS = (FIRST_RESET - MICROSECOND, FIRST_RESET, FIRST_RESET + MICROSECOND)


@contextmanager
def at_work(*workers: RenewalWorker) -> Iterator[None]:
    """Let the workers look for work without a pause."""

    def work(worker: RenewalWorker) -> None:
        while not stop.is_set():
            worker.record_pass()

    stop = threading.Event()
    with ThreadPoolExecutor(len(workers)) as threads:
        working = [threads.submit(work, worker) for worker in workers]
        try:
            yield
        finally:
            stop.set()
            for each in working:
                each.result()


@pytest.mark.parametrize("plan_id", [MONTHLY, YEARLY])
def test_a_charge_belongs_to_the_cycle_of_its_instant_and_there_is_one_reset(
    ledger: Ledger, open_worker: OpenWorker, clock: SettableClock, recorded: Recorded, plan_id: str
) -> None:
    (id,) = start(ledger, 1, plan_id)
    answers: list[Answer] = []
    with at_work(open_worker(), open_worker()), ThreadPoolExecutor(32) as clients:
        for instant in INSTANTS:
            clock.now = instant
            commands = [ChargeGeneration(f"track-{instant}-{number}", "lyria-3") for number in range(32)]
            answers += clients.map(lambda command: ledger.execute(id, command, BY), commands)

    cycles: Counter[tuple[datetime, int]] = Counter()
    for answer in answers:
        assert isinstance(answer, Charged)
        cycles[answer.charge.charged_at, answer.charge.cycle_number] += 1
    assert cycles == {(INSTANTS[0], 1): 32, (INSTANTS[1], 2): 32, (INSTANTS[2], 2): 32}
    assert recorded.counts("CycleReset") == Counter({1: 1})
    assert recorded.instants(id, "CycleReset") == [FIRST_RESET]


def test_charges_that_race_the_boundary_spend_each_allowance_exactly(
    ledger: Ledger, open_worker: OpenWorker, clock: SettableClock, recorded: Recorded
) -> None:
    (id,) = start(ledger, 1, YEARLY)
    affordable = 40_000 // 300
    clock.now = INSTANTS[0]
    with at_work(open_worker(), open_worker()), ThreadPoolExecutor(64) as clients:

        def charge(number: int) -> object:
            if number == affordable:  # in the midst of them, the instant comes
                clock.now = FIRST_RESET
            return ledger.execute(id, ChargeGeneration(f"track-{number}", "lyria-3-pro"), BY)

        answers = list(clients.map(charge, range(3 * affordable)))

    cycles = Counter(answer.charge.cycle_number for answer in answers if isinstance(answer, Charged))
    assert cycles[2] == affordable
    assert cycles[1] <= affordable
    assert recorded.counts("CycleReset") == Counter({1: 1})


@pytest.mark.parametrize("subscriptions", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_many_subscriptions_are_charged_over_their_boundary_while_workers_reset_them(
    ledger: Ledger, open_worker: OpenWorker, clock: SettableClock, recorded: Recorded, subscriptions: int
) -> None:
    ids = start(ledger, subscriptions, YEARLY)
    with at_work(open_worker(), open_worker()):
        for instant in INSTANTS:
            clock.now = instant
            for answer in put(ledger, ((id, ChargeGeneration(f"track-{instant}", "lyria-3")) for id in ids)):
                assert isinstance(answer, Charged)
                expected = (instant, 1 if instant < FIRST_RESET else 2)
                assert (answer.charge.charged_at, answer.charge.cycle_number) == expected

    assert recorded.counts("CycleReset") == Counter({1: subscriptions})
