"""Many charges in one request, each decided on its own, in order.

All are put to the writer lane at once, so they share its transactions; one that is refused does not touch the others.
"""

import threading
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from projections.charges.view import Charge
from services.http.problems import InvalidRequest, Problem, invalid, problem_body, problem_of, problem_of_failure
from services.http.requests import ChargeRequest
from services.ledger.lane import LaneClosed, LaneFull
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Charged, Failed, Refused, Submission
from services.subscription.commands import ChargeGeneration

CHARGES_MAX = 1_000


class BatchedCharge(ChargeRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One generation to charge, and to which subscription."""

    subscription_id: UUID


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Charges to decide in this order."""

    charges: Annotated[list[BatchedCharge], Meta(min_length=1, max_length=CHARGES_MAX)]

    def commands(self) -> list[ChargeGeneration]:
        """The command of each charge. Raises Problem naming the first whose duration is no number."""
        return [_command(place, charge) for place, charge in enumerate(self.charges)]


class ChargeResult(Struct, frozen=True, omit_defaults=True):
    """What became of one charge: the status that it would have been answered with alone, and its charge or problem."""

    status: int
    charge: Charge | UnsetType = UNSET
    problem: Annotated[dict[str, Any], Meta(description="As the charge alone would have been refused.")] | UnsetType = (
        UNSET
    )


class BatchResults(Struct, frozen=True):
    """What became of each charge, in the order of the request."""

    results: list[ChargeResult]


def charge_all(ledger: Ledger, wanted: BatchRequest, metadata: Metadata) -> BatchResults:
    """Put every charge and wait for what became of each; for threads. Raises Problem before anything is charged."""
    outcomes: dict[int, Answer | Problem] = {}
    gathered = _Gathered(outcomes)
    for place, (charge, command) in enumerate(zip(wanted.charges, wanted.commands(), strict=True)):
        submission = Submission(charge.subscription_id, command, metadata, gathered.deliver)
        try:
            gathered.put(ledger, place, submission)
        except (LaneFull, LaneClosed) as error:
            outcomes[place] = problem_of(error, metadata.request_id)
    gathered.wait()
    return BatchResults([_result(outcomes[place], metadata.request_id) for place in range(len(wanted.charges))])


class _Gathered:
    """Answers of the lane to several submissions, awaited together."""

    def __init__(self, outcomes: dict[int, Answer | Problem]) -> None:
        self._outcomes = outcomes
        self._places: dict[Submission, int] = {}
        self._answered = threading.Semaphore(0)

    def put(self, ledger: Ledger, place: int, submission: Submission) -> None:
        self._places[submission] = place
        try:
            ledger.lane.submit(submission)
        except (LaneFull, LaneClosed):
            del self._places[submission]
            raise

    def deliver(self, submission: Submission, answer: Answer) -> None:
        self._outcomes[self._places[submission]] = answer
        self._answered.release()

    def wait(self) -> None:
        for _ in range(len(self._places)):
            self._answered.acquire()


def _command(place: int, charge: BatchedCharge) -> ChargeGeneration:
    try:
        return charge.command()
    except Problem as problem:
        if not isinstance(problem.refusal, InvalidRequest):
            raise
        (wrong,) = problem.refusal.errors
        raise invalid(f"charges[{place}].{wrong.field}", wrong.reason) from None


def _result(outcome: Answer | Problem, request_id: str) -> ChargeResult:
    match outcome:
        case Charged(charge, is_replay):
            return ChargeResult(200 if is_replay else 201, charge)
        case Refused(refusal):
            problem = Problem(refusal)
        case Failed():
            problem = problem_of_failure(outcome, request_id)
        case Problem():
            problem = outcome
        case _:
            raise AssertionError(f"no answer to a charge: {outcome}")
    return ChargeResult(problem.status, problem=problem_body(problem.refusal, problem.status, request_id))
