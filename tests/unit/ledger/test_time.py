"""Time: what is due comes first, a stream never runs back, and test clocks tell their own."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.ledger import deciding
from services.ledger.submission import Answer, Charged, Done, Refused, UnknownTestClock
from services.subscription.commands import RecordDue, ScheduleDowngrade, StartSubscription, UpgradePlan
from services.subscription.refusals import UnknownSubscription, VersionMismatch
from tests.conftest import SettableClock
from tests.unit.ledger.in_memory import LARGEST, SMALL, STARTER, InMemoryLedger, submit, track

A_MONTH = ["CycleReset", "TermRenewed"]


def charge(ledger: InMemoryLedger, id: UUID, generation_id: str) -> Charged:
    (answer,) = ledger.put(submit(id, track(generation_id)))
    assert isinstance(answer, Charged)
    return answer


def event_count(answer: Answer) -> int:
    assert isinstance(answer, Done)
    return answer.event_count


def test_what_is_due_is_recorded_before_a_charge(ledger: InMemoryLedger, clock: SettableClock) -> None:
    id = ledger.start()
    charge(ledger, id, "track-1")
    clock.advance(days=31)

    charged = charge(ledger, id, "track-2").charge

    assert ledger.types(id)[3:] == [*A_MONTH, "GenerationCharged"]
    assert (charged.cycle_number, charged.balance_before) == (2, 16_500)


def test_what_is_due_is_recorded_before_a_refusal(ledger: InMemoryLedger, clock: SettableClock) -> None:
    id = ledger.start(SMALL)
    clock.advance(days=62)

    (answer,) = ledger.put(submit(id, track("track-1")))

    assert isinstance(answer, Refused)
    assert ledger.types(id)[2:] == A_MONTH * 2
    assert [(row.version, row.balance_credits) for row in ledger.refusals] == [(6, 7_500)]


def test_what_is_due_is_recorded_even_where_the_expected_version_is_missed(
    ledger: InMemoryLedger, clock: SettableClock
) -> None:
    id = ledger.start()
    clock.advance(days=31)

    answers = ledger.put(submit(id, UpgradePlan(LARGEST), expected_versions={1}))

    assert answers == [Refused(VersionMismatch(4))]
    assert ledger.types(id)[2:] == A_MONTH


def test_the_expected_version_is_the_recorded_one_whatever_is_due(ledger: InMemoryLedger, clock: SettableClock) -> None:
    """It is the version that a read shows, whose `version` counts what is recorded."""
    id = ledger.start()
    clock.advance(days=31)

    (answer,) = ledger.put(submit(id, ScheduleDowngrade(SMALL), expected_versions={2}))

    assert event_count(answer) == 1


def test_a_subscription_that_does_not_exist_has_no_version_to_miss(ledger: InMemoryLedger) -> None:
    answers = ledger.put(submit(UUID(int=7), UpgradePlan(LARGEST), expected_versions={3}))

    assert answers == [Refused(UnknownSubscription())]


def test_what_was_due_is_not_counted_unless_recording_it_was_the_command(
    ledger: InMemoryLedger, clock: SettableClock
) -> None:
    id = ledger.start()
    clock.advance(days=31)
    upgraded = ledger.put(submit(id, UpgradePlan(LARGEST)))
    clock.advance(days=62)

    recorded = ledger.put(submit(id, RecordDue()), submit(id, RecordDue()))

    assert [event_count(answer) for answer in [*upgraded, *recorded]] == [1, 2, 0]


def test_recording_what_is_due_stops_after_so_many_boundaries(
    ledger: InMemoryLedger, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest stays due; any other command records all of it."""
    monkeypatch.setattr(deciding, "DUE_AT_ONCE", 3)
    id = ledger.start()
    clock.advance(days=366)

    recorded, charged = ledger.put(submit(id, RecordDue()), submit(id, track("track-1")))

    assert event_count(recorded) == 3 * len(A_MONTH)
    assert isinstance(charged, Charged)
    assert charged.charge.cycle_number == 13


def test_a_batch_with_enough_events_decides_no_further_command(
    ledger: InMemoryLedger, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "EVENT_LIMIT", 5)
    id = ledger.start()
    clock.advance(days=62)

    answers = ledger.put(*[submit(id, track(f"track-{number}")) for number in range(3)])

    assert [answer.charge.generation_id for answer in answers if isinstance(answer, Charged)] == ["track-0"]
    assert ledger.types(id)[2:] == [*A_MONTH * 2, "GenerationCharged"]


def test_a_clock_that_runs_back_does_not_take_a_stream_with_it(ledger: InMemoryLedger, clock: SettableClock) -> None:
    id = ledger.start()
    first = charge(ledger, id, "track-1").charge.charged_at
    clock.advance(hours=-1)
    assert charge(ledger, id, "track-2").charge.charged_at == first
    clock.advance(minutes=30)
    assert charge(ledger, id, "track-3").charge.charged_at == first
    clock.advance(hours=1)
    assert charge(ledger, id, "track-4").charge.charged_at == first + timedelta(minutes=30)


def test_a_clock_that_runs_back_over_a_boundary_does_not_undo_it(ledger: InMemoryLedger, clock: SettableClock) -> None:
    id = ledger.start()
    clock.advance(days=31)
    assert charge(ledger, id, "track-1").charge.cycle_number == 2
    clock.advance(days=-1)
    assert charge(ledger, id, "track-2").charge.cycle_number == 2


def test_a_subscription_on_a_test_clock_lives_in_its_time(ledger: InMemoryLedger, clock: SettableClock) -> None:
    ledger.test_clocks["slow"] = datetime(2020, 3, 1, tzinfo=UTC)
    id = ledger.start(test_clock_id="slow")
    assert charge(ledger, id, "track-1").charge.charged_at == datetime(2020, 3, 1, tzinfo=UTC)

    clock.advance(days=800)
    ledger.test_clocks["slow"] = datetime(2020, 4, 1, tzinfo=UTC)

    assert charge(ledger, id, "track-2").charge.charged_at == datetime(2020, 4, 1, tzinfo=UTC)
    assert ledger.types(id)[3:] == [*A_MONTH, "GenerationCharged"]
    assert {event.recorded_at.year for event in ledger.events} == {2020}


def test_a_test_clock_that_does_not_exist_tells_no_time(ledger: InMemoryLedger) -> None:
    answers = ledger.put(submit(UUID(int=1), StartSubscription("account-1", STARTER, "fast")))

    assert answers == [Refused(UnknownTestClock("fast"))]
    assert ledger.events == []
