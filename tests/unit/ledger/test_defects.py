"""A defect that one command meets is its own answer, and leaves nothing of it behind."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from services.catalogue import Catalogue
from services.catalogue.model import InvalidSettings, Quote, Settings, UnknownModel
from services.ledger.mapper import UnreadableEvent
from services.ledger.submission import Answer, Attempt, Charged, Failed, Refused
from services.subscription.commands import ChargeGeneration
from services.subscription.refusals import UnknownSubscription
from tests.conftest import SettableClock
from tests.unit.ledger.in_memory import InMemoryLedger, submit, track

DEFECTIVE = ChargeGeneration("track-defective", "defective")


class DefectiveCatalogue(Catalogue):
    """Meets a defect when it is to price one model."""

    def quote(self, model: str, settings: Settings, at: object) -> Quote | UnknownModel | InvalidSettings:
        """Quote like any catalogue, but for that model."""
        if model == "defective":
            raise ZeroDivisionError
        return super().quote(model, settings, at)  # type: ignore[arg-type] # the instant, handed on


@pytest.fixture
def ledger(catalogue: Catalogue, clock: SettableClock) -> InMemoryLedger:
    """A ledger with the defective catalogue."""
    return InMemoryLedger(DefectiveCatalogue(catalogue.plans, catalogue.rate_cards), clock)


def failure(answer: Answer) -> Exception:
    assert isinstance(answer, Failed), answer
    assert not answer.may_have_happened
    assert isinstance(answer.error, Exception)
    return answer.error


def test_a_defect_is_an_answer_and_leaves_nothing(ledger: InMemoryLedger) -> None:
    id = ledger.start()

    batch = ledger.decide(submit(id, track("track-1")), submit(id, DEFECTIVE), submit(id, track("track-2")))

    before, failed, after = ledger.commit(batch)
    assert isinstance(before, Charged)
    assert isinstance(failure(failed), ZeroDivisionError)
    assert isinstance(after, Charged)
    assert after.charge.balance_after == 16_500 - 300
    assert ledger.types(id)[2:] == ["GenerationCharged"] * 2
    assert batch.defects == [(DEFECTIVE, failure(failed))]


def test_what_was_due_before_a_defect_is_left_to_the_next_command(ledger: InMemoryLedger, clock: SettableClock) -> None:
    id = ledger.start()
    clock.advance(days=31)

    failed, charged = ledger.put(submit(id, DEFECTIVE), submit(id, track("track-1")))

    assert isinstance(failure(failed), ZeroDivisionError)
    assert isinstance(charged, Charged)
    assert ledger.types(id)[2:] == ["CycleReset", "TermRenewed", "GenerationCharged"]


def test_a_defect_alone_leaves_a_batch_without_rows(ledger: InMemoryLedger, clock: SettableClock) -> None:
    id = ledger.start()
    clock.advance(days=31)

    batch = ledger.decide(submit(id, DEFECTIVE))

    assert (batch.recorded, batch.refusals, batch.records_by_key) == ([], [], {})
    assert batch.heads == ledger.heads


def test_a_stream_that_cannot_be_read_fails_every_command_on_it_and_no_other(ledger: InMemoryLedger) -> None:
    sound, damaged = ledger.start(), ledger.start()
    (first,) = ledger.put(submit(damaged, track("track-1")))
    assert isinstance(first, Charged)
    known = ledger.known()
    heads = {sound: known.heads[sound]}
    defect = UnreadableEvent("damaged")

    batch = ledger.decide(
        submit(damaged, track("track-2")),
        submit(sound, track("track-1")),
        submit(damaged, track("track-1")),
        known=replace(known, heads=heads, defects={damaged: defect}),
    )

    failed, charged, replayed = batch.answers(0)
    assert failure(failed) is defect
    assert isinstance(charged, Charged)
    assert replayed == Charged(first.charge, is_replay=True), "an earlier charge can still be answered"


def test_a_charge_whose_event_cannot_be_read_fails_alone(ledger: InMemoryLedger) -> None:
    id = ledger.start()
    ledger.put(submit(id, track("track-1")))
    unreadable = replace(ledger.events[-1], state=b"{}")
    known = replace(ledger.known(), generations={(id, "track-1"): [unreadable]})

    batch = ledger.decide(submit(id, track("track-1")), submit(id, track("track-2")), known=known)

    failed, charged = batch.answers(0)
    assert isinstance(failure(failed), UnreadableEvent)
    assert str(id) in str(failure(failed))
    assert isinstance(charged, Charged)


def test_a_command_that_may_have_been_committed_says_so_when_it_meets_a_defect(ledger: InMemoryLedger) -> None:
    id = ledger.start()
    submission = submit(id, DEFECTIVE)
    stored = replace(ledger.events[-1], state=b"lost")
    submission.lost += (Attempt(stored, lambda _position: Refused(UnknownSubscription())),)

    (answer,) = ledger.put(submission)

    assert isinstance(answer, Failed)
    assert answer.may_have_happened


def test_a_subscription_that_does_not_exist_is_no_defect(ledger: InMemoryLedger) -> None:
    assert ledger.put(submit(UUID(int=7), track("track-1"))) == [Refused(UnknownSubscription())]
