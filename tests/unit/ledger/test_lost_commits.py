"""A commit whose outcome is lost: what it stored is found by its last event, and answered as it would have been."""

from uuid import UUID

from services.ledger.outcomes import DecidedBatch
from services.ledger.submission import Charged, Done, Refused, Submission
from services.subscription.commands import RecordDue, StartSubscription, UpgradePlan
from tests.conftest import SettableClock
from tests.unit.ledger.in_memory import LARGEST, SMALL, STARTER, InMemoryLedger, submit, track


def lose(batch: DecidedBatch, *submissions: Submission) -> None:
    """Note with the commands what was being committed, as the lane does when it does not learn the outcome."""
    for place, attempt in batch.attempts():
        submissions[place].lost += (attempt,)


def test_a_charge_that_was_stored_is_answered_as_if_nothing_had_been_lost(ledger: InMemoryLedger) -> None:
    id = ledger.start()
    submissions = [submit(id, track("track-1")), submit(id, track("track-2"))]
    batch = ledger.decide(*submissions)
    lose(batch, *submissions)
    expected = ledger.commit(batch)

    assert ledger.put(*submissions) == expected
    assert not any(answer.is_replay for answer in expected if isinstance(answer, Charged))
    assert ledger.types(id)[2:] == ["GenerationCharged"] * 2


def test_a_charge_that_was_not_stored_is_made(ledger: InMemoryLedger) -> None:
    id = ledger.start()
    submission = submit(id, track("track-1"))
    for _ in range(3):
        lose(ledger.decide(submission), submission)

    (answer,) = ledger.put(submission)

    assert isinstance(answer, Charged)
    assert not answer.is_replay
    assert len(submission.lost) == 3


def test_of_several_attempts_the_one_that_was_stored_answers(ledger: InMemoryLedger, clock: SettableClock) -> None:
    id = ledger.start()
    submission = submit(id, track("track-1"))
    batches = []
    for _ in range(3):
        batches.append(ledger.decide(submission))
        lose(batches[-1], submission)
        clock.advance(seconds=1)
    expected = ledger.commit(batches[1])
    ledger.put(submit(id, track("behind")))

    assert ledger.put(submission) == expected


def test_a_start_that_was_stored_is_not_taken_for_one_that_was_there_before(ledger: InMemoryLedger) -> None:
    submission = submit(UUID(int=1), StartSubscription("account-1", STARTER))
    batch = ledger.decide(submission)
    lose(batch, submission)
    ledger.commit(batch)

    (answer,) = ledger.put(submission)

    assert isinstance(answer, Done)
    assert answer.event_count == 2


def test_only_what_is_carried_out_in_events_can_be_found_again(ledger: InMemoryLedger, clock: SettableClock) -> None:
    """A refusal, a replay and what was so already are decided anew, whatever boundaries they had recorded."""
    id, due = ledger.start(SMALL), ledger.start()
    ledger.put(submit(due, track("track-0")))
    clock.advance(days=31)
    submissions = [
        submit(id, track("refused")),
        submit(due, track("track-0")),
        submit(due, RecordDue()),
        submit(due, RecordDue()),
        submit(id, UpgradePlan(LARGEST)),
    ]

    batch = ledger.decide(*submissions)

    assert [(place, attempt.event.topic) for place, attempt in batch.attempts()] == [
        (2, "TermRenewed"),
        (4, "PlanUpgraded"),
    ]


def test_a_boundary_that_someone_else_recorded_is_not_taken_for_ones_own_charge(
    ledger: InMemoryLedger, clock: SettableClock
) -> None:
    """At the same instant and for the same request, which a frozen clock allows, the two are the same byte for byte."""
    id = ledger.start()
    clock.advance(days=31)
    submission = submit(id, track("track-1"))
    lose(ledger.decide(submission), submission)
    ledger.put(submit(id, track("elsewhere")))

    (answer,) = ledger.put(submission)

    assert isinstance(answer, Charged)
    assert not answer.is_replay
    assert ledger.types(id)[2:] == ["CycleReset", "TermRenewed", "GenerationCharged", "GenerationCharged"]


def test_a_refusal_is_decided_anew_on_what_is_stored(ledger: InMemoryLedger) -> None:
    id = ledger.start(SMALL)
    submission = submit(id, track("track-1"))
    batch = ledger.decide(submission)
    assert isinstance(batch.answers(0)[0], Refused)
    lose(batch, submission)
    ledger.put(submit(id, UpgradePlan(LARGEST)))

    assert isinstance(ledger.put(submission)[0], Charged)
