"""Holds in a real ledger: many clients at once, whose sessions are killed, and rows that follow from the events."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from uuid import UUID

import pytest

from services.catalogue import Catalogue, Settings
from services.ledger.ledger import Ledger
from services.ledger.submission import Answer, Charged, Done, Failed, Held, Refused, Released
from services.postgres.database import connect
from services.subscription.commands import (
    CancelSubscription,
    CaptureHold,
    Command,
    HoldCredits,
    RecordDue,
    ReleaseHold,
    UpgradePlan,
)
from services.subscription.state import Subscription
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import BY, STARTER, TRACK_CREDITS, charge, in_one_batch, start

Life = tuple[Answer, Answer | None]
"""What a client was answered to its hold, and to its capture or release."""

CLIENTS = 256
AFFORDABLE = 110
"""The tracks that the plan's credits pay for."""


def hold(ledger: Ledger, id: UUID, generation_id: str, seconds: int = 900) -> Answer:
    """Hold the credits of a track."""
    return ledger.execute(id, HoldCredits(generation_id, "lyria-3", expires_in_seconds=seconds), BY)


@pytest.mark.parametrize("seed", range(3))
def test_256_clients_never_hold_or_spend_more_than_there_is(
    database_url: str, catalogue: Catalogue, clock: SettableClock, seed: int
) -> None:
    """Each holds a track in one of two processes, then captures, releases or leaves it, while sessions are killed.

    What got no answer is sent again, to either process; and in the end every request of all is sent once more.
    """
    chance, is_over = random.Random(seed), Event()
    choices = [chance.choice(("capture", "release", "leave")) for _ in range(CLIENTS)]
    with (
        Ledger(database_url, SCHEMA, catalogue, clock=clock, snapshot_interval=20) as one,
        Ledger(database_url, SCHEMA, catalogue, clock=clock, snapshot_interval=20) as other,
        ThreadPoolExecutor(CLIENTS + 1) as pool,
    ):
        id = start(one, STARTER)

        def send(number: int, command: Command) -> Answer:
            attempt = number
            while isinstance(answer := (one, other)[attempt % 2].execute(id, command, BY), Failed):
                attempt += 1
            return answer

        def live(number: int) -> Life:
            generation_id = f"g-{number}"
            held = send(number, HoldCredits(generation_id, "lyria-3"))
            if not isinstance(held, Held) or choices[number] == "leave":
                return held, None
            end = CaptureHold(generation_id) if choices[number] == "capture" else ReleaseHold(generation_id)
            return held, send(number + 1, end)

        killing = pool.submit(_kill_sessions_until, is_over, database_url)
        first = list(pool.map(live, range(CLIENTS)))
        is_over.set()
        killing.result()
        again = list(pool.map(live, range(CLIENTS)))

        captured = {number for number, (_, end) in enumerate(again) if isinstance(end, Charged)}
        open_now = {
            number for number, (held, _) in enumerate(again) if isinstance(held, Held) and choices[number] == "leave"
        }
        assert all(isinstance(held, Held | Refused) for held, _ in first)
        assert {number for number, (_, end) in enumerate(first) if isinstance(end, Charged)} <= captured
        _check_replays(first, again)
        assert len(captured) + len(open_now) <= AFFORDABLE

        state = _state(one, id)
        assert state.balance_credits == TRACK_CREDITS * (AFFORDABLE - len(captured))
        assert state.held_credits == TRACK_CREDITS * len(open_now)
        assert state.available_credits >= 0
        assert {each.generation_id for each in state.holds} == {f"g-{number}" for number in open_now}
        books = Books(database_url)
        books.check()
        assert {generation_id for _, generation_id in books.charged()} == {f"g-{number}" for number in captured}

        clock.advance(seconds=900)
        ended = one.execute(id, RecordDue(), BY)
        assert ended.event_count == len(open_now)  # type: ignore[union-attr] # it is `Done`
        assert _state(one, id).available_credits == _state(one, id).balance_credits
        books.check()


def test_rows_follow_from_the_events_whatever_becomes_of_holds(
    ledger: Ledger, database_url: str, clock: SettableClock
) -> None:
    id, other = start(ledger), start(ledger)
    for name, seconds in (("one", 60), ("two", 900), ("three", 900), ("four", 900), ("five", 604_800)):
        assert isinstance(hold(ledger, id, name, seconds), Held)
    books = Books(database_url)
    books.check()
    answers = in_one_batch(
        ledger,
        (id, CaptureHold("two", Settings(count=2))),
        (other, HoldCredits("one", "lyria-3")),
        (id, ReleaseHold("three")),
        (id, HoldCredits("six", "lyria-3")),
        (id, CaptureHold("six")),
        (other, CaptureHold("one")),
        (other, CaptureHold("one")),
    )
    assert [type(each).__name__ for each in answers] == [
        "Charged",
        "Held",
        "Released",
        "Held",
        "Charged",
        "Charged",
        "Charged",
    ]
    books.check()
    clock.advance(seconds=60)
    charge(ledger, id, "seven")
    books.check()
    ledger.execute(id, UpgradePlan("ai-suite-40000-monthly"), BY)
    books.check()
    assert [each.generation_id for each in _state(ledger, id).holds] == ["four", "five"]
    clock.advance(days=6)
    ledger.execute(id, CancelSubscription("now"), BY)
    books.check()
    clock.now += timedelta(days=1)
    ledger.execute(id, RecordDue(), BY)
    books.check()
    assert books.types(id)[-3:] == ["SubscriptionCancelled", "SubscriptionEnded", "HoldReleased"]


def _check_replays(first: Sequence[Life], again: Sequence[Life]) -> None:
    """Check that what was done the first time is answered as a replay when it is sent again."""
    for (held, end), (held_again, end_again) in zip(first, again, strict=True):
        if isinstance(held, Held):
            assert isinstance(held_again, Held)
            assert held_again.is_replay
        if isinstance(end, Charged | Released):
            assert isinstance(end_again, Charged | Released)
            assert end_again.is_replay


def _state(ledger: Ledger, id: UUID) -> Subscription:
    answer = ledger.execute(id, RecordDue(), BY)
    assert isinstance(answer, Done), answer
    return answer.state


def _kill_sessions_until(is_over: Event, database_url: str) -> None:
    """End every other session of the database, again and again.

    The pauses grow, from 50 ms on: where a batch takes longer than a pause, no command would ever be carried out.
    """
    pause_seconds = 0.05
    with connect(database_url, autocommit=True) as killer:
        while not is_over.wait(pause_seconds):
            pause_seconds *= 1.05
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
