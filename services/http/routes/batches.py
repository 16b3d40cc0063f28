"""Charge many generations in one request, each checked and decided on its own, in order.

All are put to the writer lane at once, so they share its transactions; one that is refused does not touch the others.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from projections.charges.view import Charge
from services.http.calls import Charger
from services.http.decoding import JsonBody, repeated
from services.http.documentation import examples
from services.http.documentation.operations import documented
from services.http.idempotency import reserve
from services.http.problems import Problem, problem_body, problem_of_failure
from services.http.requests import ChargeRequest, SettingsRequest
from services.http.routing import HotRoute
from services.http.server.exchange import BATCH_BODY_LIMIT_BYTES
from services.http.server.reply import Reply, encode, json_reply
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


class _SeparateCharges(Struct, frozen=True, forbid_unknown_fields=True):
    """A batch whose charges are not decoded yet."""

    charges: Annotated[list[Raw], Meta(min_length=1, max_length=CHARGES_MAX)]


BatchItem = tuple[UUID, ChargeGeneration] | Problem
"""A command and its subscription, or why the charge of the request is none."""


class Batch(Struct, frozen=True):
    """The charges of a request, each decoded on its own."""

    items: Sequence[BatchItem]
    canonical: bytes
    """The same for the same request, however its JSON is laid out."""


class BatchBody(JsonBody[Any]):
    """Decodes a `BatchRequest`, but its charges one by one: what one of them lacks is no matter of the others."""

    def __init__(self) -> None:
        super().__init__(BatchRequest, limit_bytes=BATCH_BODY_LIMIT_BYTES)
        self._batch, self._charge = JsonBody(_SeparateCharges), JsonBody(BatchedCharge)

    def decode(self, body: bytes) -> Batch:
        """Decode JSON. Raises Problem for what is no list of 1 to 1,000 charges."""
        charges = self._batch.read(body).charges
        if body.count(b":") > 1 + sum(bytes(text).count(b":") for text in charges):
            raise repeated("charges")
        items: list[BatchItem] = []
        canonical = []
        for text in charges:
            try:
                charge = self._charge.decode(bytes(text))
                items.append((charge.subscription_id, charge.command()))
                canonical.append(encode(charge))
            except Problem as problem:
                items.append(problem)
                canonical.append(bytes(text))
        return Batch(items, b",".join(canonical))


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
async def charge_batch(call: Charger, body: Annotated[Batch, Depends(BatchBody())]) -> Reply[BatchResults]:
    """Charge many generations, each checked and decided on its own, in order.

    From 1 to 1,000 charges, in at most 4 MiB. Each result has the status that the charge would have been answered with
    alone: 201 with the charge, 200 with the first charge where it was made before, or that of its problem. One that is
    refused, or is not of this form, does not touch the others. Charges of a batch are not one transaction: where the
    answer is lost, send the batch again, and what was charged is not charged again. That is so under an
    `Idempotency-Key` as well, which only makes sure that the batch is the same.
    """
    if call.exchange.idempotency_key is not None:
        await asyncio.to_thread(reserve, call, body.canonical)
    commands: list[tuple[UUID, AnyCommand]] = [item for item in body.items if not isinstance(item, Problem)]
    answers = iter(await call.service.gate.execute_all(commands, call.metadata) if commands else ())
    return json_reply(BatchResults([*_results(body.items, answers, call.exchange.request_id)]))


def _results(items: Sequence[BatchItem], answers: Iterator[Answer], request_id: str) -> Iterator[ChargeResult]:
    for item in items:
        yield _problem_result(item, request_id) if isinstance(item, Problem) else _result(next(answers), request_id)


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
    return _problem_result(problem, request_id)


def _problem_result(problem: Problem, request_id: str) -> ChargeResult:
    return ChargeResult(problem.status, problem=problem_body(problem.refusal, problem.status, request_id))
