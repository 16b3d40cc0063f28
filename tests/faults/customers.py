"""Clients that charge, and retry until they have an answer, as a generation backend does."""

from collections import Counter
from collections.abc import Callable
from random import Random
from threading import Event, Lock, Thread
from time import sleep
from typing import Self
from uuid import UUID, uuid4

from projections.charges.view import Charge
from services.ledger.lane import LaneClosed, LaneFull
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Charged, Done, Failed, IdempotencyKey, Refused, Repeated
from services.subscription.commands import ChargeGeneration, Command, StartSubscription
from tests.integration.ledger.books import Books

Execute = Callable[[UUID, Command, Metadata, IdempotencyKey | None], Answer]
PLAN = "ai-starter-16500-monthly"  # 110 tracks, so that it runs dry every now and then
_IN_USE = 6


class Customers:
    """Threads of clients, each with a name and its own random numbers; records the answers that they get."""

    def __init__(self, execute: Execute, seed: int, count: int) -> None:
        self._execute = execute
        self._lock = Lock()
        self._is_stopping = Event()
        self._is_abandoned = False
        self._subscriptions: list[UUID] = []
        self._keys = 0
        self._defects: list[BaseException] = []
        self._threads = [
            Thread(target=self._live, args=(f"c{name}", Random(f"{seed} {name}"))) for name in range(count)
        ]
        self.acknowledged: dict[tuple[UUID, str], Charge] = {}
        self.answers: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Begin to charge."""
        self._open_subscription("the first", Random(0))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        """Let every client retry its last charge until it is answered. Raises what failed in a client."""
        self._is_abandoned = kind is not None
        self._is_stopping.set()
        for thread in self._threads:
            thread.join()
        if kind is None:
            self._raise_defects()

    def wait_for_charges(self, count: int) -> None:
        """Return when so many more charges are acknowledged. Raises what failed in a client."""
        expected = len(self.acknowledged) + count
        while len(self.acknowledged) < expected:
            self._raise_defects()
            sleep(0.002)

    def _raise_defects(self) -> None:
        for defect in self._defects:
            raise defect

    def check(self, books: Books) -> None:
        """Check that the ledger holds every acknowledged charge, once, and nothing else."""
        books.check()
        assert books.charged() == self.acknowledged
        assert books.query("SELECT count(*) FROM {}.balance") == [(len(self._subscriptions),)]
        assert len(set(self._subscriptions)) == self._keys

    def _live(self, name: str, random: Random) -> None:
        try:
            number = 0
            while not self._is_stopping.is_set():
                number += 1
                if random.random() < 0.02:
                    self._open_subscription(f"{name}-{number}", random)
                elif random.random() < 0.1:
                    self._charge_again(random, f"{name}-{number}")
                else:
                    self._charge(random.choice(self._subscriptions[-_IN_USE:]), f"{name}-{number}")
        except BaseException as defect:  # noqa: BLE001 - raised again in the thread that waits
            self._defects.append(defect)

    def _charge(self, id: UUID, generation_id: str) -> None:
        answer, is_retry = self._retry_until_answered(id, ChargeGeneration(generation_id, "lyria-3"), generation_id)
        if isinstance(answer, Charged):
            assert answer.is_replay <= is_retry, "a replay, though it was the first request"
            with self._lock:
                self.acknowledged[id, generation_id] = answer.charge
        else:
            assert isinstance(answer, Refused), answer
            assert answer.refusal.code == "insufficient_credits", answer

    def _charge_again(self, random: Random, request_id: str) -> None:
        with self._lock:
            if not self.acknowledged:
                return
            (id, generation_id), charge = random.choice(list(self.acknowledged.items())[-50:])
        answer, _ = self._retry_until_answered(id, ChargeGeneration(generation_id, "lyria-3"), request_id)
        assert answer == Charged(charge, is_replay=True), "the same answer as the first"

    def _open_subscription(self, name: str, random: Random) -> None:
        """Start a subscription. Each request makes up another id, as the service does; the key makes them one."""
        key = IdempotencyKey(name, name.encode(), _id_of)
        answer, is_retry = self._retry_until_answered(uuid4(), StartSubscription(name, PLAN), name, key)
        assert isinstance(answer, Done | Repeated), answer
        assert is_retry or (isinstance(answer, Done) and answer.event_count == 2), "it did not exist before"
        with self._lock:
            self._subscriptions.append(UUID(bytes=_id_of(answer)))
            self._keys += 1

    def _retry_until_answered(
        self, id: UUID, command: Command, request_id: str, key: IdempotencyKey | None = None
    ) -> tuple[Answer, bool]:
        """Return the answer, and whether it took a retry to get one."""
        is_retry = False
        while True:
            answer = self._execute_once(id, command, request_id, key)
            self.answers[_kind(answer)] += 1
            if answer is not None and not isinstance(answer, Failed):
                return answer, is_retry
            if self._is_abandoned:
                raise InterruptedError
            is_retry = True
            sleep(0.005)
            if key is not None:
                id = uuid4()

    def _execute_once(self, id: UUID, command: Command, request_id: str, key: IdempotencyKey | None) -> Answer | None:
        try:
            return self._execute(id, command, Metadata("customer", request_id), key)
        except (LaneClosed, LaneFull):
            return None


def _id_of(answer: Answer) -> bytes:
    return answer.subscription_id.bytes if isinstance(answer, Done) else getattr(answer, "answer", b"")


def _kind(answer: Answer | None) -> str:
    match answer:
        case Charged(is_replay=True):
            return "replay"
        case Failed(may_have_happened=True):
            return "unknown"
        case None:
            return "not accepted"
        case _:
            return type(answer).__name__.lower()
