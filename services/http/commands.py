"""From a request to the ledger and back: the command is put, and its answer becomes the reply."""

import asyncio
from collections.abc import Callable
from typing import assert_never
from uuid import UUID

from msgspec import Struct

from projections.renewal.view import subscription_view
from services.http.problems import Problem, problem_of_failure
from services.http.requests import ChargeRequest
from services.http.server.exchange import Exchange
from services.http.server.reply import Reply, encode, read_back, write_down
from services.idempotency import hash_request
from services.keys import Key
from services.ledger.ledger import AsyncGate, Ledger
from services.ledger.records import Metadata
from services.ledger.submission import (
    Answer,
    AnyCommand,
    Charged,
    Disputed,
    Done,
    Failed,
    IdempotencyKey,
    Refused,
    Repeated,
)

RenderDone = Callable[[Done], Reply]


def subscription_reply(done: Done, status: int = 200) -> Reply:
    """The subscription that a command left, with its version as ETag."""
    view = subscription_view(done.subscription_id, done.state, done.state.version)
    return Reply(status, encode(view), {"etag": f'"{view.version}"'})


class Charging:
    """Charges from the event loop. One a process, since there is one loop a process."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._gate: AsyncGate | None = None

    async def charge(self, subscription_id: UUID, wanted: ChargeRequest, exchange: Exchange, key: Key) -> Reply:
        """Put the charge and await what became of it. Raises Problem, LaneClosed, LaneFull."""
        if self._gate is None:
            self._gate = AsyncGate(self._ledger.lane, asyncio.get_running_loop())
        answer = await self._gate.execute(
            subscription_id,
            wanted.command(),
            Metadata(key.key_id, exchange.request_id),
            _idempotency(exchange, wanted, subscription_reply),
        )
        return reply_to(answer, exchange.request_id, subscription_reply)


def carry_out(
    ledger: Ledger,
    subscription_id: UUID,
    command: AnyCommand,
    wanted: Struct,
    exchange: Exchange,
    key: Key,
    *,
    expected_version: int | None = None,
    render: RenderDone = subscription_reply,
) -> Reply:
    """Put a command and wait for what became of it; for threads. Raises Problem, LaneClosed, LaneFull.

    `wanted` is the request as decoded, and `render` writes the answer where the command was carried out.
    """
    answer = ledger.execute(
        subscription_id,
        command,
        Metadata(key.key_id, exchange.request_id),
        expected_version=expected_version,
        idempotency=_idempotency(exchange, wanted, render),
    )
    return reply_to(answer, exchange.request_id, render)


def reply_to(answer: Answer, request_id: str, render: RenderDone) -> Reply:
    """The reply to any answer of the ledger. Raises Problem where there was none."""
    match answer:
        case Charged(charge, is_replay):
            headers = {"idempotent-replayed": "true"} if is_replay else {}
            return Reply(200 if is_replay else 201, encode(charge), headers)
        case Refused(refusal):
            return Problem(refusal).reply(request_id)
        case Done():
            return render(answer)
        case Disputed(dispute, is_new):
            headers = {"location": f"/v1/disputes/{dispute.dispute_id}"} if is_new else {}
            return Reply(201 if is_new else 200, encode(dispute), headers)
        case Repeated(kept):
            return read_back(kept)
        case Failed():
            raise problem_of_failure(answer, request_id)
        case _:
            assert_never(answer)


def _idempotency(exchange: Exchange, wanted: Struct, render: RenderDone) -> IdempotencyKey | None:
    """The caller's key with what it stands for: this path with this body, however the JSON was laid out."""
    if (key := exchange.idempotency_key) is None:
        return None
    request_id = exchange.request_id
    request_hash = hash_request(exchange.path, encode(wanted))
    return IdempotencyKey(key, request_hash, lambda answer: write_down(reply_to(answer, request_id, render)))
