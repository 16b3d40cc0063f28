"""Puts one command each to many subscriptions, as many at a time as fill a batch of the lane.

Not more at a time: a batch holds the ledger's head while it commits, and customers' charges wait for it.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from itertools import islice
from uuid import UUID

from services.ledger.lane import BATCH_LIMIT, WriterLane
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Submission
from services.subscription.commands import Command

ANSWER_SECONDS = 60.0


def put_all(
    lane: WriterLane, commands: Iterable[tuple[UUID, Command]], metadata: Metadata
) -> Iterator[tuple[UUID, Answer]]:
    """Put the commands, and yield the answers in their order. Raises LaneClosed, LaneFull, TimeoutError."""
    remaining = iter(commands)
    while several := [*islice(remaining, BATCH_LIMIT)]:
        waiting = []
        for id, command in several:
            future: Future[Answer] = Future()
            lane.submit(Submission(id, command, metadata, partial(_deliver, future)))
            waiting.append((id, future))
        for id, future in waiting:
            yield id, future.result(ANSWER_SECONDS)


def _deliver(future: Future[Answer], _submission: Submission, answer: Answer) -> None:
    future.set_result(answer)
