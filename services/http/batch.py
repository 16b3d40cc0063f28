"""Many charges in one request, each decided on its own, in order.

All are put to the writer lane at once, so they share its transactions; one that is refused does not touch the others.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.concurrency import run_in_threadpool

from projections.charges.view import Charge
from services.http.calls import Call
from services.http.decoding import JsonBody
from services.http.once import answered_once
from services.http.problems import InvalidRequest, Problem, invalid, problem_body, problem_of, problem_of_failure
from services.http.requests import ChargeRequest
from services.http.server.exchange import BATCH_BODY_LIMIT_BYTES
from services.http.server.reply import Reply, encode
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


BATCH_BODY = JsonBody(BatchRequest, limit_bytes=BATCH_BODY_LIMIT_BYTES)


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


async def answer_batch(call: Call, wanted: BatchRequest) -> Reply:
    """Put every charge and await what became of each. Raises Problem before anything is charged; psycopg.Error."""
    ledger, metadata = call.service.backend.ledger, Metadata(call.key.key_id, call.exchange.request_id)
    if call.exchange.idempotency_key is not None:
        reply = partial(_answer_in_thread, ledger, wanted, metadata)
        return await run_in_threadpool(answered_once, call, wanted, reply)
    loop, is_complete = asyncio.get_running_loop(), asyncio.Event()
    charges = _Charges(ledger, wanted, metadata, lambda: loop.call_soon_threadsafe(is_complete.set))
    await is_complete.wait()
    return charges.reply()


def _answer_in_thread(ledger: Ledger, wanted: BatchRequest, metadata: Metadata) -> Reply:
    is_complete = threading.Event()
    charges = _Charges(ledger, wanted, metadata, is_complete.set)
    is_complete.wait()
    return charges.reply()


class _Charges:
    """Charges that were put to the lane together, and what becomes of each."""

    def __init__(
        self, ledger: Ledger, wanted: BatchRequest, metadata: Metadata, when_complete: Callable[[], object]
    ) -> None:
        self._request_id = metadata.request_id
        self._outcomes: dict[int, Answer | Problem] = {}
        self._when_complete = when_complete
        commands = wanted.commands()
        self._count = len(commands)
        for place, (charge, command) in enumerate(zip(wanted.charges, commands, strict=True)):
            submission = Submission(charge.subscription_id, command, metadata, partial(self._put, place))
            try:
                ledger.lane.submit(submission)
            except (LaneFull, LaneClosed) as error:
                self._put(place, submission, problem_of(error, self._request_id))

    def _put(self, place: int, _submission: Submission, outcome: Answer | Problem) -> None:
        """Note one outcome; lanes call this from threads of their own, and whoever puts the last one sees all."""
        self._outcomes[place] = outcome
        if len(self._outcomes) == self._count:
            self._when_complete()

    def reply(self) -> Reply:
        """All results in the order of the request, once complete."""
        results = [_result(self._outcomes[place], self._request_id) for place in range(self._count)]
        return Reply(200, encode(BatchResults(results)))


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
