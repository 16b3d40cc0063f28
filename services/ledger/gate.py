"""The ledger from an event loop: put commands to the writer lane and await their answers."""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from services.ledger.lane import LaneClosed, LaneFull, WriterLane
from services.ledger.records import Metadata
from services.ledger.submission import Answer, AnyCommand, Failed, IdempotencyKey, Submission


class AsyncGate:
    """Puts commands from one event loop; one wake-up of the loop delivers all the answers of a transaction."""

    def __init__(self, lane: WriterLane) -> None:
        self._lane = lane
        self._results: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._is_waking = False

    async def execute(
        self,
        subscription_id: UUID,
        command: AnyCommand,
        metadata: Metadata,
        expected_versions: Collection[int] | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Answer:
        """Put a command and await its answer. Raises LaneClosed or LaneFull.

        Where the caller is cancelled, the command is carried out all the same.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        deliver = partial(self._deliver, future)
        self._lane.submit(Submission(subscription_id, command, metadata, deliver, expected_versions, idempotency))
        return await future

    async def execute_all(self, commands: Sequence[tuple[UUID, AnyCommand]], metadata: Metadata) -> list[Answer]:
        """Put several commands, in order, and await all their answers; Failed where the lane takes no more."""
        assert commands
        future: asyncio.Future[dict[int, Answer]] = asyncio.get_running_loop().create_future()
        answers: dict[int, Answer] = {}

        def put(place: int, submission: Submission, answer: Answer) -> None:
            """Called by the lane's thread, or by this one; whichever puts the last answer sees all of them."""
            answers[place] = answer
            if len(answers) == len(commands):
                self._deliver(future, submission, answers)

        for place, (subscription_id, command) in enumerate(commands):
            submission = Submission(subscription_id, command, metadata, partial(put, place))
            try:
                self._lane.submit(submission)
            except (LaneFull, LaneClosed) as error:
                put(place, submission, Failed(error))
        await future
        return [answers[place] for place in range(len(commands))]

    def _deliver(self, future: "asyncio.Future[Any]", _submission: Submission, result: Any) -> None:
        """Called by the lane's thread: only the first result since the last wake-up wakes the loop.

        The result is put down before the flag is read, and `_wake` clears the flag before it looks for results; so a
        result that does not wake the loop is seen by the wake-up that is still to come.
        """
        self._results.append((future, result))
        if not self._is_waking:
            self._is_waking = True
            future.get_loop().call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._is_waking = False
        while self._results:
            future, result = self._results.popleft()
            if not future.done():  # its caller may have been cancelled
                future.set_result(result)
