"""Makes believable ledgers for the tests of projections, checks and exports: every type of event, from one seed."""

import random
from collections.abc import Callable
from uuid import UUID

from services.catalogue import Settings
from services.dispute.commands import OpenDispute, ResolveDispute
from services.dispute.events import Outcome
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import AnyCommand, Charged, Failed, Held
from services.subscription.commands import (
    CancelSubscription,
    CaptureHold,
    ChargeGeneration,
    HoldCredits,
    RecordDue,
    ReleaseHold,
    ResumeSubscription,
    ScheduleDowngrade,
    StartSubscription,
    UpgradePlan,
)
from tests.conftest import SettableClock

BY = Metadata(key_id="test", request_id="request-1")
PLANS = ("ai-starter-7500-monthly", "ai-starter-16500-monthly", "ai-suite-40000-yearly", "max-pro-240000-monthly")


class Lives:
    """Subscriptions to which random things happen. The same seed on an empty ledger gives the same events."""

    def __init__(self, ledger: Ledger, clock: SettableClock, seed: int = 1) -> None:
        self._ledger = ledger
        self._clock = clock
        self._random = random.Random(seed)
        self._charges: dict[UUID, list[Charged]] = {}
        self._holds: list[tuple[UUID, str]] = []
        self._generations = 0

    @property
    def subscription_ids(self) -> list[UUID]:
        """The ids of all subscriptions, in the order of their start."""
        return list(self._charges)

    def start(self, count: int) -> None:
        """Start `count` subscriptions."""
        for _ in range(count):
            id = UUID(int=self._random.getrandbits(128), version=4)
            self._charges[id] = []
            self._execute(id, StartSubscription(f"account-{len(self._charges)}", self._random.choice(PLANS)))

    def go_on(self, steps: int) -> None:
        """Execute `steps` random commands, some of which are refused."""
        kinds: list[tuple[int, Callable[[UUID], object]]] = [
            (60, self._charge),
            (12, self._hold),
            (8, self._end_hold),
            (4, self._dispute),
            (4, lambda id: self._execute(id, UpgradePlan(self._random.choice(PLANS)))),
            (3, lambda id: self._execute(id, ScheduleDowngrade(self._random.choice(PLANS)))),
            (2, lambda id: self._execute(id, CancelSubscription("term_end"))),
            (1, lambda id: self._execute(id, CancelSubscription("now"))),
            (3, lambda id: self._execute(id, ResumeSubscription())),
            (3, self._let_time_pass),
        ]
        weights, actions = zip(*kinds, strict=True)
        for _ in range(steps):
            self._clock.advance(microseconds=self._random.randrange(1, 10_000_000))
            id = self._random.choice(self.subscription_ids)
            self._random.choices(actions, weights)[0](id)

    def _charge(self, id: UUID) -> None:
        self._generations += 1
        model = self._random.choice(("lyria-3", "lyria-3-pro"))
        answer = self._execute(id, ChargeGeneration(f"generation-{self._generations}", model))
        if isinstance(answer, Charged):
            self._charges[id].append(answer)

    def _hold(self, id: UUID) -> None:
        self._generations += 1
        seconds = self._random.choice((1, 60, 900, 604_800))
        command = HoldCredits(f"generation-{self._generations}", "lyria-3", expires_in_seconds=seconds)
        if isinstance(self._execute(id, command), Held):
            self._holds.append((id, command.generation_id))

    def _end_hold(self, _id: UUID) -> None:
        """Capture or release a hold, which may have expired."""
        if not self._holds:
            return
        id, generation_id = self._holds.pop(self._random.randrange(len(self._holds)))
        settings = self._random.choice((None, Settings(count=2)))
        if self._random.random() < 0.3:
            self._execute(id, ReleaseHold(generation_id))
        elif isinstance(answer := self._execute(id, CaptureHold(generation_id, settings)), Charged):
            self._charges[id].append(answer)

    def _dispute(self, id: UUID) -> None:
        """Dispute a charge; most disputes are decided, and most of these upheld."""
        if self._charges[id]:
            charge = self._charges[id].pop(self._random.randrange(len(self._charges[id]))).charge
            dispute_id = UUID(int=self._random.getrandbits(128), version=4)
            self._execute(id, OpenDispute(dispute_id, charge.generation_id, "duplicate", "it was charged twice"))
            outcome: Outcome | None = self._random.choice(("upheld", "upheld", "rejected", None))
            if outcome is not None:
                self._execute(id, ResolveDispute(dispute_id, charge.generation_id, outcome, "as we found it"))

    def _let_time_pass(self, id: UUID) -> None:
        self._clock.advance(days=self._random.randrange(1, 40))
        self._execute(id, RecordDue())

    def _execute(self, id: UUID, command: AnyCommand) -> object:
        answer = self._ledger.execute(id, command, BY)
        assert not isinstance(answer, Failed), answer
        return answer
