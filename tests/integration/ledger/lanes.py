"""Ways to put commands to a writer lane: in one batch, or from concurrent clients."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock
from typing import TypeVar
from uuid import UUID, uuid4

from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Charged, Done, IdempotencyKey, Submission
from services.subscription.commands import ChargeGeneration, Command, RecordDue, StartSubscription

BY = Metadata(key_id="key-1", request_id="request-1")
STARTER = "ai-starter-16500-monthly"  # 110 tracks of Lyria 3, at 150 credits each
TRACK_CREDITS = 150


def start(ledger: Ledger, plan_id: str = STARTER, *, test_clock_id: str | None = None) -> UUID:
    """Start a subscription; return its id."""
    id = uuid4()
    answer = ledger.execute(id, StartSubscription(f"account of {id}", plan_id, test_clock_id), BY)
    assert isinstance(answer, Done), answer
    return id


def track(generation_id: str) -> ChargeGeneration:
    """Make a charge for one track of Lyria 3."""
    return ChargeGeneration(generation_id, "lyria-3")


def charge(ledger: Ledger, subscription_id: UUID, generation_id: str) -> Charged:
    """Charge a track that the balance can pay for."""
    answer = ledger.execute(subscription_id, track(generation_id), BY)
    assert isinstance(answer, Charged), answer
    return answer


Request = tuple[UUID, Command] | tuple[UUID, Command, IdempotencyKey]


def in_one_batch(ledger: Ledger, *requests: Request) -> list[Answer]:
    """Put commands so that the lane takes all of them in one batch; return their answers in order."""
    held, go_on = Event(), Event()

    def hold(_submission: Submission, _answer: Answer) -> None:
        held.set()
        go_on.wait()

    ledger.lane.submit(Submission(uuid4(), RecordDue(), BY, hold))
    held.wait()
    futures = [_submit(ledger, *each) for each in requests]
    go_on.set()
    return [future.result() for future in futures]


def _submit(
    ledger: Ledger, subscription_id: UUID, command: Command, key: IdempotencyKey | None = None
) -> Future[Answer]:
    future: Future[Answer] = Future()
    ledger.lane.submit(
        Submission(subscription_id, command, BY, lambda _, answer: future.set_result(answer), idempotency=key)
    )
    return future


T = TypeVar("T")


def concurrently(calls: Sequence[Callable[[], T]], clients: int = 32) -> list[T]:
    """Make all the calls, from so many clients at a time; return their results in order."""
    with ThreadPoolExecutor(clients) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


class Deliveries:
    """Collects the answers that a lane delivers."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.answers: list[Answer] = []

    def __call__(self, _submission: Submission, answer: Answer) -> None:
        with self._lock:
            self.answers.append(answer)
