"""Many charges in one request, each decided on its own, in order.

All are put to the writer lane at once, so they share its transactions; one that is refused, or that is not even a
charge, does not touch the others.
"""

import threading
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, ValidationError

from projections.charges.view import Charge
from services.http.decoding import JsonBody, problem_with
from services.http.exchange import BATCH_BODY_LIMIT_BYTES
from services.http.problems import Problem, problem_body, problem_of, problem_of_failure
from services.http.requests import ChargeRequest
from services.ledger.lane import LaneClosed, LaneFull
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Charged, Failed, Refused, Submission
from services.subscription.refusals import Refusal

CHARGES_MAX = 1_000

T = TypeVar("T")
_UpToTheLimit = Annotated[list[T], Meta(min_length=1, max_length=CHARGES_MAX)]


class BatchedCharge(ChargeRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One generation to charge, and to which subscription."""

    subscription_id: UUID


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Charges to decide in this order."""

    charges: _UpToTheLimit[BatchedCharge]


class _LooseBatch(Struct, frozen=True, forbid_unknown_fields=True):
    charges: _UpToTheLimit[Raw]


_CHARGE = msgspec.json.Decoder(BatchedCharge)


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


class Batch(Struct, frozen=True):
    """What was asked for: charges, and in the place of one that is none, why it is not."""

    charges: list[BatchedCharge | Refusal]


class BatchBody(JsonBody[Any]):
    """A FastAPI dependency: a `Batch`, from a body that should be a `BatchRequest`."""

    def __init__(self) -> None:
        super().__init__(BatchRequest, limit_bytes=BATCH_BODY_LIMIT_BYTES)
        self._loosely = JsonBody(_LooseBatch, limit_bytes=BATCH_BODY_LIMIT_BYTES)

    def decode(self, body: bytes) -> Batch:
        """What the JSON describes. Raises Problem where it is no batch at all."""
        try:
            strictly: BatchRequest = super().decode(body)
        except Problem:
            return Batch([_charge_or_refusal(raw) for raw in self._loosely.decode(body).charges])
        return Batch([*strictly.charges])


def charge_all(ledger: Ledger, batch: Batch, metadata: Metadata) -> BatchResults:
    """Put every charge and wait for what became of each; for threads."""
    outcomes: dict[int, Answer | Problem] = {}
    gathered = _Gathered(outcomes)
    for place, wanted in enumerate(batch.charges):
        if isinstance(wanted, Refusal):
            outcomes[place] = Refused(wanted)
            continue
        try:
            submission = Submission(wanted.subscription_id, wanted.command(), metadata, gathered.deliver)
            gathered.put(ledger, place, submission)
        except (Problem, LaneFull, LaneClosed) as error:
            outcomes[place] = problem_of(error, metadata.request_id)
    gathered.wait()
    return BatchResults([_result(outcomes[place], metadata.request_id) for place in range(len(batch.charges))])


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


def _charge_or_refusal(raw: Raw) -> BatchedCharge | Refusal:
    try:
        return _CHARGE.decode(raw)
    except ValidationError as error:
        return problem_with(error).refusal


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
