"""Charge, hold, capture and release for many generations in one request, each checked and decided on its own, in order.

All are put to the writer lane at once, so they share its transactions; one that is refused does not touch the others.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from projections.charges.view import Charge
from projections.holds.view import Hold
from services.http.batch_items import BatchedItem, BatchItem, BatchRequest, SeparateItems, decode_item
from services.http.calls import Call, Charger
from services.http.confinement import Confinement
from services.http.decoding import JsonBody, repeated
from services.http.documentation import examples
from services.http.documentation.operations import documented
from services.http.idempotency import reserve
from services.http.problems import Problem, RefusedOn, problem_body, problem_of_failure
from services.http.requests import SettingsRequest
from services.http.routing import HotRoute
from services.http.server.exchange import BATCH_BODY_LIMIT_BYTES
from services.http.server.reply import Reply, encode, json_reply
from services.ledger.submission import Answer, AnyCommand, Charged, Failed, Held, Refused, Released
from services.subscription.refusals import UnknownModelRefused, UnknownSubscription

router = APIRouter(tags=["Charges"], route_class=HotRoute)


class Batch(Struct, frozen=True):
    """The items of a request, each decoded on its own."""

    items: Sequence[BatchItem]
    canonical: bytes
    """The same for the same request, however its JSON is laid out."""


class BatchBody(JsonBody[Any]):
    """Decodes a `BatchRequest`, but its items one by one: what one of them lacks is no matter of the others."""

    def __init__(self) -> None:
        super().__init__(BatchRequest, limit_bytes=BATCH_BODY_LIMIT_BYTES)
        self._batch = JsonBody(SeparateItems)

    def decode(self, body: bytes) -> Batch:
        """Decode JSON. Raises Problem for what is no list of 1 to 1,000 items."""
        texts = self._batch.read(body).charges
        if body.count(b":") > 1 + sum(bytes(text).count(b":") for text in texts):
            raise repeated("charges")
        items: list[BatchItem] = []
        canonical = []
        for text in map(bytes, texts):
            try:
                item = decode_item(text)
                items.append((item.subscription_id, item.command()))
                canonical.append(encode(item))
            except Problem as problem:
                items.append(problem.without_frames())  # which would hold this list, and it them
                canonical.append(text)
        return Batch(items, b",".join(canonical))


class BatchResult(Struct, frozen=True, omit_defaults=True):
    """What became of one item: the status of its request alone, and its charge, hold or problem."""

    status: int
    charge: Charge | UnsetType = UNSET
    hold: Hold | UnsetType = UNSET
    problem: Annotated[dict[str, Any], Meta(description="As the item alone would have been refused.")] | UnsetType = (
        UNSET
    )


class BatchResults(Struct, frozen=True):
    """What became of each item, in the order of the request."""

    results: list[BatchResult]


_REFUSAL = UnknownModelRefused("lyria-9")
_EXAMPLE = BatchRequest(
    [
        BatchedItem(
            subscription_id=examples.CHARGE.subscription_id,
            generation_id="track-7f3a",
            model="lyria-3",
            settings=SettingsRequest(duration_seconds=Raw(b"180")),
        ),
        BatchedItem(
            subscription_id=examples.CHARGE.subscription_id,
            generation_id="video-2b8e",
            op="capture",
            settings=SettingsRequest(duration_seconds=Raw(b"10")),
        ),
        BatchedItem(subscription_id=examples.CHARGE.subscription_id, generation_id="track-7f3b", model=_REFUSAL.model),
    ]
)
_EXAMPLE_RESULTS = BatchResults(
    [
        BatchResult(201, examples.CHARGE),
        BatchResult(201, examples.CAPTURE),
        BatchResult(422, problem=problem_body(_REFUSAL, 422, "8rVbW2mJ4kQ1xZpN")),
    ]
)


@router.post("/v1/charges/batch", openapi_extra=documented({200: _EXAMPLE_RESULTS}, request=_EXAMPLE))
async def charge_batch(
    call: Annotated[Charger, Confinement.BY_HANDLER], body: Annotated[Batch, Depends(BatchBody())]
) -> Reply[BatchResults]:
    """Charge, hold, capture and release for many generations, each checked and decided on its own, in order.

    From 1 to 1,000 items, in at most 4 MiB. `op` says what is asked for; without it, a charge. Each result has the
    status that the request alone would have been answered with: 201 with the charge or hold, 200 with the one that was
    made before, or that of its problem. One that is refused, or is not of this form, does not touch the others. The
    items of a batch are not one transaction: where the answer is lost, send the batch again, and what was done is not
    done again. That is so under an `Idempotency-Key` as well, which only makes sure that the batch is the same.
    """
    if call.exchange.idempotency_key is not None:
        await asyncio.to_thread(reserve, call, body.canonical)
    items = await _own_items(call, body.items) if call.key.is_confined else body.items
    commands: list[tuple[UUID, AnyCommand]] = [item for item in items if not isinstance(item, Problem)]
    answers = await call.service.gate.execute_all(commands, call.metadata) if commands else []
    states = await call.service.refused_states.of_all(
        (id, answer) for (id, _), answer in zip(commands, answers, strict=True)
    )
    decided = iter(zip(answers, states, strict=True))
    return json_reply(BatchResults([*_results(items, decided, call.exchange.request_id)]))


async def _own_items(call: Call, items: Sequence[BatchItem]) -> Sequence[BatchItem]:
    """Put a problem in the place of every item of a subscription that the key may not see. Raises psycopg.Error."""
    ids = {item[0] for item in items if not isinstance(item, Problem)}
    outside = await asyncio.to_thread(call.service.confinements.outside, call.key, ids)
    return [
        item if isinstance(item, Problem) or item[0] not in outside else Problem(UnknownSubscription())
        for item in items
    ]


def _results(
    items: Sequence[BatchItem], decided: Iterator[tuple[Answer, RefusedOn | None]], request_id: str
) -> Iterator[BatchResult]:
    for item in items:
        yield _problem_result(item, request_id) if isinstance(item, Problem) else _result(*next(decided), request_id)


def _result(answer: Answer, refused_on: RefusedOn | None, request_id: str) -> BatchResult:
    match answer:
        case Charged(charge, is_replay):
            return BatchResult(200 if is_replay else 201, charge)
        case Held(hold, is_replay):
            return BatchResult(200 if is_replay else 201, hold=hold)
        case Released(hold):
            return BatchResult(200, hold=hold)
        case Refused(refusal):
            problem = Problem(refusal, refused_on=refused_on)
        case Failed():
            problem = problem_of_failure(answer, request_id)
        case _:
            raise AssertionError(f"no answer to an item: {answer}")
    return _problem_result(problem, request_id)


def _problem_result(problem: Problem, request_id: str) -> BatchResult:
    return BatchResult(problem.status, problem=problem.body(request_id))
