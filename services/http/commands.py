"""Puts commands to the ledger, and turns its answers into replies."""

from collections.abc import Callable, Collection
from typing import Any, assert_never
from uuid import UUID

from msgspec import Struct

from projections.renewal.view import SubscriptionView, subscription_view
from services.http.calls import Call
from services.http.idempotency import read_stored, stored_form
from services.http.problems import Problem, problem_of_failure
from services.http.server.reply import Reply, encode, json_reply
from services.idempotency import hash_request
from services.ledger.submission import (
    BY_GENERATION,
    Answer,
    AnyCommand,
    Charged,
    Disputed,
    Done,
    Failed,
    Held,
    IdempotencyKey,
    Refused,
    Released,
    Repeated,
)

_REPLAYED = {"idempotent-replayed": "true"}

RenderDone = Callable[[Done], Reply[SubscriptionView]]


def subscription_reply(done: Done, status: int = 200) -> Reply[SubscriptionView]:
    """Render the subscription that a command left, with its version as ETag."""
    view = subscription_view(done.subscription_id, done.state, done.state.version)
    return json_reply(view, status, {"etag": f'"{view.version}"'})


async def execute(
    call: Call,
    subscription_id: UUID,
    command: AnyCommand,
    body: Struct,
    *,
    expected_versions: Collection[int] | None = None,
    render: RenderDone = subscription_reply,
) -> Reply[Any]:
    """Put a command to the writer lane and await the reply. Raises Problem, LaneClosed, LaneFull.

    `body` is the decoded request, which an idempotency key stands for; `render` makes the reply of `Done`.
    """
    idempotency = _idempotency(call, command, body, render)
    answer = await call.service.gate.execute(subscription_id, command, call.metadata, expected_versions, idempotency)
    if isinstance(answer, Refused):
        refused_on = await call.service.refused_states.of(subscription_id, answer)
        raise Problem(answer.refusal, refused_on=refused_on)
    return reply_to(answer, call.exchange.request_id, render)


def reply_to(answer: Answer, request_id: str, render: RenderDone) -> Reply[Any]:
    """Render any answer of the ledger. Raises Problem for `Failed`, which is none."""
    match answer:
        case Charged():
            return json_reply(answer.charge, 200, _REPLAYED) if answer.is_replay else json_reply(answer.charge, 201)
        case Held(hold, is_replay):
            return json_reply(hold, 200, _REPLAYED) if is_replay else json_reply(hold, 201)
        case Released(hold, is_replay):
            return json_reply(hold, 200, _REPLAYED if is_replay else {})
        case Refused(refusal):
            return Problem(refusal).reply(request_id)
        case Done():
            return render(answer)
        case Disputed(dispute, is_new):
            headers = {"location": f"/v1/disputes/{dispute.dispute_id}"} if is_new else {}
            return json_reply(dispute, 201 if is_new else 200, headers)
        case Repeated(stored):
            return read_stored(stored)
        case Failed():
            raise problem_of_failure(answer, request_id)
        case _:
            assert_never(answer)


def _idempotency(call: Call, command: AnyCommand, body: Struct, render: RenderDone) -> IdempotencyKey | None:
    if (key := call.exchange.idempotency_key) is None:
        return None
    # What is idempotent by its generation id is so under any path: there the key guards the body alone.
    path = "" if isinstance(command, BY_GENERATION) else call.exchange.path
    request_id = call.exchange.request_id
    request_hash = hash_request(path, encode(body))
    return IdempotencyKey(key, request_hash, lambda answer: stored_form(reply_to(answer, request_id, render)))
