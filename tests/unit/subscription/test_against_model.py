"""Random histories: whatever the commands and their instants, the core shows what the independent model computes.

`TALLYSTICK_HISTORIES=1000000 pytest -m long -s tests/unit/subscription` plays a million and prints the seed; the same
seed in `TALLYSTICK_SEED` plays the same histories again.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing import get_context
from random import Random, SystemRandom
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.subscription.commands import (
    CaptureHold,
    Command,
    HoldCredits,
    ReinstateSubscription,
    ReleaseHold,
    SuspendSubscription,
)
from services.subscription.events import (
    CreditsHeld,
    Event,
    HoldReleased,
    SubscriptionReinstated,
    SubscriptionSuspended,
)
from tests.unit.subscription.simulation import (
    PLAN_IDS,
    POLICIES,
    REQUESTS_AND_EDITIONS,
    STEPS_MAX,
    UPGRADES_AND_REVERSALS,
    WAITS,
    Beginning,
    Request,
    Simulation,
    Step,
    play,
    random_history,
    shortest,
)

HISTORIES_A_TASK = 500

beginnings = st.builds(
    Beginning,
    st.datetimes(datetime(2023, 1, 1), datetime(2025, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 # plain bounds
    st.sampled_from(PLAN_IDS),
    st.sampled_from(POLICIES),
)
steps = st.lists(st.builds(Step, st.sampled_from(WAITS), st.sampled_from(REQUESTS_AND_EDITIONS)), max_size=STEPS_MAX)


@settings(max_examples=600)
@given(beginnings, steps)
def test_every_history_shows_what_the_model_computes(beginning: Beginning, steps: list[Step]) -> None:
    play(beginning, steps)


def test_a_thousand_histories_at_random() -> None:
    seed = _seed()
    failure = play_histories(seed, first=0, count=1_000)
    assert failure is None, failure


def test_a_thousand_histories_of_upgrades_and_reversals() -> None:
    seed = _seed()
    failure = play_histories(seed, first=0, count=1_000, requests=UPGRADES_AND_REVERSALS)
    assert failure is None, failure


UNMODELLED = {
    *(HoldCredits, CaptureHold, ReleaseHold, CreditsHeld, HoldReleased),
    *(SuspendSubscription, ReinstateSubscription, SubscriptionSuspended, SubscriptionReinstated),
}
"""The histories here have no holds and no suspensions, which are tried through HTTP."""


def test_histories_have_every_command_and_every_event() -> None:
    """Compare what is added to the core with the model, and replay it by what-if, from its first day on."""
    commands, events = set[type](), set[type]()
    for number in range(200):
        beginning, steps = random_history(Random(number), REQUESTS_AND_EDITIONS)
        simulation = Simulation(beginning)
        for step in steps:
            simulation.play(step)
        commands |= {type(command) for _, command in simulation.commands}
        events |= {type(event) for _, event in simulation.history.recorded}
    assert commands == set(get_args(Command)) - UNMODELLED
    assert events == set(get_args(Event)) - UNMODELLED


@pytest.mark.long
def test_a_campaign_of_histories() -> None:
    seed, count = _seed(), int(os.environ.get("TALLYSTICK_HISTORIES", "100000"))
    print(f"\n{count:,} histories, TALLYSTICK_SEED={seed}")
    tasks = [(first, min(HISTORIES_A_TASK, count - first)) for first in range(0, count, HISTORIES_A_TASK)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        playing = [pool.submit(play_histories, seed, *task) for task in tasks]
        for number, task in enumerate(as_completed(playing), start=1):
            if (failure := task.result()) is not None:
                pool.shutdown(cancel_futures=True)
                pytest.fail(failure)
            if number % max(1, len(tasks) // 20) == 0:
                print(f"{min(number * HISTORIES_A_TASK, count):,} hold", flush=True)


def play_histories(
    seed: int, first: int, count: int, requests: Sequence[Request] = REQUESTS_AND_EDITIONS
) -> str | None:
    """Play histories `first` to `first + count` of a seed; return the first that fails, shortened, as text."""
    for number in range(first, first + count):
        beginning, steps = random_history(Random(f"{seed}:{number}"), requests)
        try:
            play(beginning, steps)
        except Exception as failure:  # noqa: BLE001 # a crash of the core is as much a failure as a divergence
            needed, left = shortest(beginning, steps)
            lines = "\n".join(f"    {step}" for step in needed)
            return f"TALLYSTICK_SEED={seed}, history {number}: {failure!r}\n{beginning}\n{lines}\n{left!r}"
    return None


def _seed() -> int:
    return int(os.environ.get("TALLYSTICK_SEED") or SystemRandom().randrange(2**32))
