"""Clients that charge, and ask again until they know, as a generation backend does; and what they were told."""

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

Ask = Callable[[UUID, Command, Metadata, IdempotencyKey | None], Answer]
PLAN = "ai-starter-16500-monthly"  # 110 tracks, so that it runs dry every now and then
_IN_USE = 6


class Customers:
    """Some threads of clients, each with a name and its own random numbers."""

    def __init__(self, ask: Ask, seed: int, count: int) -> None:
        self._ask = ask
        self._lock = Lock()
        self._is_over = Event()
        self._is_abandoned = False
        self._subscriptions: list[UUID] = []
        self._keys = 0
        self._defects: list[BaseException] = []
        self._threads = [
            Thread(target=self._live, args=(f"c{name}", Random(f"{seed} {name}"))) for name in range(count)
        ]
        self.acknowledged: dict[tuple[UUID, str], Charge] = {}
        self.told: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Begin to charge."""
        self._open_subscription("the first", Random(0))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        """Let every client learn what became of its last charge. Raises what a client found wrong."""
        self._is_abandoned = kind is not None
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        if kind is None:
            self._raise_defects()

    def charge_on(self, count: int) -> None:
        """Return when so many more charges were acknowledged. Raises what a client found wrong."""
        wanted = len(self.acknowledged) + count
        while len(self.acknowledged) < wanted:
            self._raise_defects()
            sleep(0.002)

    def _raise_defects(self) -> None:
        for defect in self._defects:
            raise defect

    def check(self, books: Books) -> None:
        """Fail unless the ledger holds what the clients were told, once, and nothing else."""
        books.check()
        assert books.charged() == self.acknowledged
        assert books.query("SELECT count(*) FROM {}.balance") == [(len(self._subscriptions),)]
        assert len(set(self._subscriptions)) == self._keys

    def _live(self, name: str, random: Random) -> None:
        try:
            number = 0
            while not self._is_over.is_set():
                number += 1
                if random.random() < 0.02:
                    self._open_subscription(f"{name}-{number}", random)
                elif random.random() < 0.1:
                    self._charge_again(random, f"{name}-{number}")
                else:
                    self._charge(random.choice(self._subscriptions[-_IN_USE:]), f"{name}-{number}")
        except BaseException as defect:  # noqa: BLE001 - raised again by whoever waits
            self._defects.append(defect)

    def _charge(self, id: UUID, generation_id: str) -> None:
        answer, is_asked_again = self._until_known(id, ChargeGeneration(generation_id, "lyria-3"), generation_id)
        if isinstance(answer, Charged):
            assert answer.is_replay <= is_asked_again, "charged before, though nobody had asked"
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
        answer, _ = self._until_known(id, ChargeGeneration(generation_id, "lyria-3"), request_id)
        assert answer == Charged(charge, is_replay=True), "the first answer, word for word"

    def _open_subscription(self, name: str, random: Random) -> None:
        """Each request makes up another id, as the service does; the key makes them one."""
        key = IdempotencyKey(name, name.encode(), _id_of)
        answer, is_asked_again = self._until_known(uuid4(), StartSubscription(name, PLAN), name, key)
        assert isinstance(answer, Done | Repeated), answer
        assert is_asked_again or (isinstance(answer, Done) and answer.event_count == 2), "it was not there before"
        with self._lock:
            self._subscriptions.append(UUID(bytes=_id_of(answer)))
            self._keys += 1

    def _until_known(
        self, id: UUID, command: Command, request_id: str, key: IdempotencyKey | None = None
    ) -> tuple[Answer, bool]:
        """The answer, and whether it took asking again to get one."""
        is_asked_again = False
        while True:
            answer = self._ask_once(id, command, request_id, key)
            self.told[_kind(answer)] += 1
            if answer is not None and not isinstance(answer, Failed):
                return answer, is_asked_again
            if self._is_abandoned:
                raise InterruptedError
            is_asked_again = True
            sleep(0.005)
            if key is not None:
                id = uuid4()

    def _ask_once(self, id: UUID, command: Command, request_id: str, key: IdempotencyKey | None) -> Answer | None:
        try:
            return self._ask(id, command, Metadata("customer", request_id), key)
        except (LaneClosed, LaneFull):
            return None


def _id_of(answer: Answer) -> bytes:
    return answer.subscription_id.bytes if isinstance(answer, Done) else getattr(answer, "answer", b"")


def _kind(answer: Answer | None) -> str:
    match answer:
        case Charged(is_replay=True):
            return "charged before"
        case Failed(may_have_happened=True):
            return "unknown"
        case None:
            return "not taken"
        case _:
            return type(answer).__name__.lower()
