"""Keeps one subscription's history in memory as the ledger does: what is due, then the events of the command."""

from datetime import datetime
from typing import TypeVar

from msgspec import Struct

from services.catalogue import Catalogue
from services.subscription.boundaries import as_of, due_events
from services.subscription.commands import ChargeGeneration, Command, ReverseCharge
from services.subscription.decide import decide
from services.subscription.events import CreditTo, Event, GenerationCharged
from services.subscription.holds import is_same_request
from services.subscription.refusals import Refusal
from services.subscription.state import Subscription, evolve, fold

E = TypeVar("E")


class GenerationIdConflict(Refusal, frozen=True):
    """The generation was charged before, with another model or other settings; the ledger's own refusal."""

    code = "generation_id_conflict"


class Answer(Struct, frozen=True):
    """The outcome of a command: `done`, `unchanged`, `replayed`, or a refusal's code; and the recorded events."""

    code: str
    events: tuple[Event, ...] = ()
    refusal: Refusal | None = None


class RecordedRefusal(Struct, frozen=True):
    """A refused charge, the state on which it was refused, and the instant."""

    command: ChargeGeneration
    refusal: Refusal
    state: Subscription
    at: datetime


class History:
    """The recorded events of one subscription, each with the instant of its recording, and the state after them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.recorded: list[tuple[datetime, Event]] = []
        self.state: Subscription | None = None
        self.charges: dict[str, GenerationCharged] = {}
        self.refused: list[RecordedRefusal] = []

    def apply(self, command: Command, at: datetime) -> Answer:
        """Carry a command out at an instant, or refuse it."""
        if isinstance(command, ChargeGeneration) and (before := self.charges.get(command.generation_id)):
            same = is_same_request(before, command)
            return Answer("replayed") if same else Answer("generation_id_conflict", refusal=GenerationIdConflict())
        due = due_events(self.state, at) if self.state else []
        self._record(due, at)
        decision = decide(self.state, command, at, self.catalogue)
        if isinstance(decision, Refusal):
            if isinstance(command, ChargeGeneration) and self.state is not None:
                self.refused.append(RecordedRefusal(command, decision, self.state, at))
            return Answer(decision.code, tuple(due), decision)
        self._record(decision, at)
        return Answer("done" if decision else "unchanged", (*due, *decision))

    def reversal_of(self, generation_id: str, credit_to: CreditTo) -> ReverseCharge:
        """Return the command that reverses a charge, as an upheld dispute does."""
        charged = self.charges[generation_id]
        return ReverseCharge(generation_id, "dispute", credit_to, charged.credits, charged.cycle_number)

    def state_at(self, at: datetime) -> Subscription:
        """Rebuild the state at an instant from what was recorded by then. Raises AssertionError where nothing was."""
        state = fold(event for recorded_at, event in self.recorded if recorded_at <= at)
        assert state is not None, f"nothing was recorded by {at}"
        return as_of(state, at)

    def last(self, kind: type[E]) -> E:
        """Return the latest event of a kind."""
        return next(event for _, event in reversed(self.recorded) if isinstance(event, kind))

    def _record(self, events: list[Event], at: datetime) -> None:
        for event in events:
            self.state = evolve(self.state, event)
            self.recorded.append((at, event))
            if isinstance(event, GenerationCharged):
                self.charges[event.generation_id] = event
