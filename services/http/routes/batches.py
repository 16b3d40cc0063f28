"""Charge many generations in one request, each decided on its own, in order.

All are put to the writer lane at once, so they share its transactions; one that is refused does not touch the others.
"""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from starlette.concurrency import run_in_threadpool

from projections.charges.view import Charge
from services.http.calls import Call, Charger
from services.http.decoding import JsonBody
from services.http.documentation import examples
from services.http.documentation.operations import documented
from services.http.idempotency import answer_once
from services.http.problems import InvalidRequest, Problem, invalid, problem_body, problem_of_failure
from services.http.requests import ChargeRequest, SettingsRequest
from services.http.routing import HotRoute
from services.http.server.exchange import BATCH_BODY_LIMIT_BYTES
from services.http.server.reply import Reply, json_reply
from services.ledger.submission import Answer, AnyCommand, Charged, Failed, Refused
from services.subscription.commands import ChargeGeneration
from services.subscription.refusals import UnknownModelRefused

router = APIRouter(tags=["Charges"], route_class=HotRoute)

CHARGES_MAX = 1_000


class BatchedCharge(ChargeRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One generation to charge, and to which subscription."""

    subscription_id: UUID


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Charges to decide in this order."""

    charges: Annotated[list[BatchedCharge], Meta(min_length=1, max_length=CHARGES_MAX)]

    def commands(self) -> list[tuple[UUID, AnyCommand]]:
        """Make the command of each charge, with its subscription. Raises Problem for the first bad duration."""
        return [(charge.subscription_id, _command(place, charge)) for place, charge in enumerate(self.charges)]


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


_REFUSAL = UnknownModelRefused("lyria-9")
_SETTINGS = SettingsRequest(duration_seconds=Raw(b"180"))
_EXAMPLE = BatchRequest(
    [
        BatchedCharge("track-7f3a", "lyria-3", _SETTINGS, subscription_id=examples.CHARGE.subscription_id),
        BatchedCharge("track-7f3b", _REFUSAL.model, _SETTINGS, subscription_id=examples.CHARGE.subscription_id),
    ]
)
_EXAMPLE_RESULTS = BatchResults(
    [
        ChargeResult(201, examples.CHARGE),
        ChargeResult(422, problem=problem_body(_REFUSAL, 422, "8rVbW2mJ4kQ1xZpN")),
    ]
)


@router.post("/v1/charges/batch", openapi_extra=documented({200: _EXAMPLE_RESULTS}, request=_EXAMPLE))
async def charge_batch(
    call: Charger,
    body: Annotated[BatchRequest, Depends(JsonBody(BatchRequest, limit_bytes=BATCH_BODY_LIMIT_BYTES))],
) -> Reply[BatchResults]:
    """Charge many generations, each decided on its own, in order.

    From 1 to 1,000 charges, in at most 4 MiB. Each result has the status that the charge would have been answered with
    alone: 201 with the charge, 200 with the first charge where it was made before, or that of its problem. One that is
    refused does not touch the others; only a request that is not of this form is refused whole. Charges of a batch are
    not one transaction: where the answer is lost, send the batch again, and what was charged is not charged again.
    """
    if call.exchange.idempotency_key is None:
        return await _charge_all(call, body)
    loop = asyncio.get_running_loop()

    def charge_all() -> Reply[BatchResults]:
        return asyncio.run_coroutine_threadsafe(_charge_all(call, body), loop).result()

    return await run_in_threadpool(answer_once, call, body, charge_all)


async def _charge_all(call: Call, body: BatchRequest) -> Reply[BatchResults]:
    answers = await call.service.gate.execute_all(body.commands(), call.metadata)
    return json_reply(BatchResults([_result(answer, call.exchange.request_id) for answer in answers]))


def _command(place: int, charge: BatchedCharge) -> ChargeGeneration:
    try:
        return charge.command()
    except Problem as problem:
        if not isinstance(problem.refusal, InvalidRequest):
            raise
        (wrong,) = problem.refusal.errors
        raise invalid(f"charges[{place}].{wrong.field}", wrong.reason) from None


def _result(answer: Answer, request_id: str) -> ChargeResult:
    match answer:
        case Charged(charge, is_replay):
            return ChargeResult(200 if is_replay else 201, charge)
        case Refused(refusal):
            problem = Problem(refusal)
        case Failed():
            problem = problem_of_failure(answer, request_id)
        case _:
            raise AssertionError(f"no answer to a charge: {answer}")
    return ChargeResult(problem.status, problem=problem_body(problem.refusal, problem.status, request_id))
