"""One subscription's history in memory, kept as the ledger keeps it: what is due, then what the command brings."""

from datetime import datetime
from typing import TypeVar

from msgspec import Struct

from services.catalogue import Catalogue
from services.subscription.boundaries import as_of, due_events
from services.subscription.commands import ChargeGeneration, Command, ReverseCharge
from services.subscription.decide import decide, is_same_charge
from services.subscription.events import CreditTo, Event, GenerationCharged
from services.subscription.refusals import Refusal
from services.subscription.state import Subscription, evolve, fold

E = TypeVar("E")


class GenerationIdConflict(Refusal, frozen=True):
    """The generation was charged before, with another model or other settings; the ledger's own refusal."""

    code = "generation_id_conflict"


class Answer(Struct, frozen=True):
    """What a command came to: `done`, `unchanged`, `replayed`, or a refusal's code; and the events recorded for it."""

    code: str
    events: tuple[Event, ...] = ()
    refusal: Refusal | None = None


class KeptRefusal(Struct, frozen=True):
    """A charge that was refused, the state that it was refused on, and when."""

    command: ChargeGeneration
    refusal: Refusal
    state: Subscription
    at: datetime


class History:
    """The recorded events of one subscription, each with the instant of its recording, and the state they leave."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.recorded: list[tuple[datetime, Event]] = []
        self.state: Subscription | None = None
        self.charges: dict[str, GenerationCharged] = {}
        self.refused: list[KeptRefusal] = []

    def apply(self, command: Command, at: datetime) -> Answer:
        """Carry a command out at an instant, or refuse it."""
        if isinstance(command, ChargeGeneration) and (before := self.charges.get(command.generation_id)):
            same = is_same_charge(before, command)
            return Answer("replayed") if same else Answer("generation_id_conflict", refusal=GenerationIdConflict())
        due = due_events(self.state, at) if self.state else []
        self._record(due, at)
        decision = decide(self.state, command, at, self.catalogue)
        if isinstance(decision, Refusal):
            if isinstance(command, ChargeGeneration) and self.state is not None:
                self.refused.append(KeptRefusal(command, decision, self.state, at))
            return Answer(decision.code, tuple(due), decision)
        self._record(decision, at)
        return Answer("done" if decision else "unchanged", (*due, *decision))

    def reversal_of(self, generation_id: str, credit_to: CreditTo) -> ReverseCharge:
        """The command that gives a charge back, as a dispute that is upheld puts it."""
        charged = self.charges[generation_id]
        return ReverseCharge(generation_id, "dispute", credit_to, charged.credits, charged.cycle_number)

    def state_at(self, at: datetime) -> Subscription:
        """The state as it was at an instant, rebuilt from what was recorded by then. Raises where nothing was."""
        state = fold(event for recorded_at, event in self.recorded if recorded_at <= at)
        assert state is not None, f"nothing was recorded by {at}"
        return as_of(state, at)

    def last(self, kind: type[E]) -> E:
        """The latest event of a kind."""
        return next(event for _, event in reversed(self.recorded) if isinstance(event, kind))

    def _record(self, events: list[Event], at: datetime) -> None:
        for event in events:
            self.state = evolve(self.state, event)
            self.recorded.append((at, event))
            if isinstance(event, GenerationCharged):
                self.charges[event.generation_id] = event
