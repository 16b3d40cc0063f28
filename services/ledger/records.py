"""An event as it is recorded: what happened, when, by whom, and after which event."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct

from projections.charges.view import Charge, Reversal, charge_view
from projections.disputes.view import DisputeView, dispute_view
from projections.holds.view import Hold, HoldStatus, hold_view
from services.catalogue.model import Settings
from services.dispute import state as dispute
from services.dispute.events import DisputeEvent
from services.dispute.state import Dispute
from services.ledger.hashing import event_entry, event_hash
from services.subscription.commands import CaptureHold, ChargeGeneration, HoldCredits
from services.subscription.events import CreditsHeld, Event, GenerationCharged
from services.subscription.refusals import (
    InsufficientCredits,
    NotInPlan,
    Refusal,
    SubscriptionHasEnded,
    SubscriptionIsSuspended,
)
from services.subscription.state import Subscription, evolve

STORED_REFUSALS = (InsufficientCredits, NotInPlan, SubscriptionHasEnded, SubscriptionIsSuspended)
"""Refusals for want of credits, plan or subscription; a malformed request is no part of a customer's history."""

STATE_REFUSALS = (InsufficientCredits, NotInPlan, SubscriptionIsSuspended)
"""Refusals that come with the state that they were decided on."""

RefusedCommand = ChargeGeneration | HoldCredits | CaptureHold
RefusedOp = Literal["charge", "hold", "capture"]
_OPS: Mapping[type, RefusedOp] = {ChargeGeneration: "charge", HoldCredits: "hold", CaptureHold: "capture"}


class Metadata(Struct, frozen=True, gc=False, omit_defaults=True):
    """The caller: the id of the API key, the id of the request, and whoever asked for it at the console."""

    key_id: str
    request_id: str
    agent: str | None = None


class ChainedEvent(Struct, frozen=True, gc=False):
    """An event as it is stored, linked to the one before it in its stream; `position` is None until it is stored.

    The names are those of the event-sourcing library's columns, and of the two that the ledger adds.
    """

    originator_id: UUID
    originator_version: int
    topic: str
    state: bytes
    recorded_at: datetime
    previous_hash: bytes
    position: int | None = None

    @property
    def hash(self) -> bytes:
        """The hash that the stream's next event carries."""
        return event_hash(
            self.originator_id,
            self.originator_version,
            self.recorded_at,
            self.previous_hash,
            self.topic,
            self.state,
        )

    @property
    def entry(self) -> bytes:
        """Its entry in the log, whose leaf hash is its hash."""
        return event_entry(
            self.originator_id,
            self.originator_version,
            self.recorded_at,
            self.previous_hash,
            self.topic,
            self.state,
        )


class _Recorded(Struct, frozen=True, gc=False):
    """One event of a stream, as stored and as read. `originator_*` are the library's names."""

    stored: ChainedEvent

    @property
    def originator_id(self) -> UUID:
        """The stream."""
        return self.stored.originator_id

    @property
    def originator_version(self) -> int:
        """The place in the stream, from 1."""
        return self.stored.originator_version

    @property
    def version(self) -> int:
        """The place in the stream, from 1."""
        return self.stored.originator_version

    @property
    def recorded_at(self) -> datetime:
        """When it was recorded."""
        return self.stored.recorded_at


class Recorded(_Recorded, frozen=True, gc=False):
    """One event of a subscription's stream."""

    event: Event
    metadata: Metadata


class RecordedDispute(_Recorded, frozen=True, gc=False):
    """One event of a dispute's stream."""

    event: DisputeEvent
    metadata: Metadata


AnyRecorded = Recorded | RecordedDispute


class RecordedCharge(Struct, frozen=True):
    """A charge as its event recorded it, and its reversal, where there is one since."""

    stored: ChainedEvent
    event: GenerationCharged
    reversal: Reversal | None = None
    ordinal: int = 0
    """The place of the event in its batch, from 1, as long as it has no position."""

    def view(self, base: int = 0) -> Charge:
        """Make the public form; `base` is the position before the batch's first event."""
        stored = self.stored
        return charge_view(
            stored.originator_id,
            self.event,
            charged_at=stored.recorded_at,
            version=stored.originator_version,
            position=stored.position or base + self.ordinal,
            reversal=self.reversal,
        )


class RecordedHold(Struct, frozen=True):
    """A hold as its event recorded it, and what became of it."""

    stored: ChainedEvent
    event: CreditsHeld
    status: HoldStatus = "held"
    cycle_number: int = 0
    """That of the cycle that it belongs to, where an upgrade took it along; 0 for that in which it was made."""
    charge: RecordedCharge | None = None
    """What it was captured as."""
    ordinal: int = 0
    """The place of the event in its batch, from 1, as long as it has no position."""

    def view(self, now: datetime, base: int = 0) -> Hold:
        """Make the public form as of an instant; `base` is the position before the batch's first event."""
        stored = self.stored
        is_expired = self.status == "held" and now >= self.event.expires_at
        return hold_view(
            stored.originator_id,
            self.event,
            status="expired" if is_expired else self.status,
            cycle_number=self.cycle_number or self.event.cycle_number,
            held_at=stored.recorded_at,
            version=stored.originator_version,
            position=stored.position or base + self.ordinal,
            charge=UNSET if self.charge is None else self.charge.view(base),
        )


class StreamHead(Struct, frozen=True):
    """The head of a subscription's stream: its state, the hash of its last event, and when that was recorded.

    A snapshot is the head as it was at its version.
    """

    originator_id: UUID
    state: Subscription
    hash: bytes
    recorded_at: datetime

    @property
    def version(self) -> int:
        """The version of the last event."""
        return self.state.version


class DisputeHead(Struct, frozen=True):
    """The head of a dispute's stream: its state, the hash of its last event, when it was opened and last changed.

    A dispute has two events at most, so its heads are folded anew each time and never stored.
    """

    originator_id: UUID
    state: Dispute
    hash: bytes
    opened_at: datetime
    recorded_at: datetime

    @property
    def version(self) -> int:
        """The version of the last event."""
        return self.state.version

    def view(self, charge: Charge) -> DisputeView:
        """Make the public form, with its charge as it is now."""
        return dispute_view(self.originator_id, self.state, charge, opened_at=self.opened_at, moved_at=self.recorded_at)


class RefusalRow(Struct, frozen=True):
    """A refused charge, hold or capture, with the credits and the version that it was refused on."""

    subscription_id: UUID
    op: RefusedOp
    generation_id: str
    model: str
    settings: Settings
    refusal: Refusal
    version: int
    balance_credits: int
    available_credits: int
    refused_at: datetime

    @staticmethod
    def of(head: StreamHead, command: RefusedCommand, refusal: Refusal, now: datetime) -> "RefusalRow":
        """Make the row of a refusal on the head that it was decided on; a capture is of what its hold is for."""
        state = head.state
        if isinstance(command, CaptureHold):
            held = state.hold_of(command.generation_id)
            assert held is not None, "what is not held is refused for that, and not kept"
            model, settings = held.model, command.settings or held.settings
        else:
            model, settings = command.model, command.settings
        return RefusalRow(
            subscription_id=head.originator_id,
            op=_OPS[type(command)],
            generation_id=command.generation_id,
            model=model,
            settings=settings,
            refusal=refusal,
            version=state.version,
            balance_credits=state.balance_credits,
            available_credits=state.available_credits,
            refused_at=now,
        )


def extend(head: StreamHead | None, events: Iterable[Recorded]) -> StreamHead | None:
    """Fold more events into a head; None only where there was no head and no event."""
    state = head.state if head else None
    last = None
    for last in events:
        state = evolve(state, last.event)
    if last is None or state is None:
        return head
    return StreamHead(last.originator_id, state, last.stored.hash, last.stored.recorded_at)


def extend_dispute(head: DisputeHead | None, events: Iterable[RecordedDispute]) -> DisputeHead | None:
    """Fold more events into a head; None only where there was no head and no event."""
    for each in events:
        stored = each.stored
        head = DisputeHead(
            originator_id=stored.originator_id,
            state=dispute.evolve(head.state if head else None, each.event),
            hash=stored.hash,
            opened_at=head.opened_at if head else stored.recorded_at,
            recorded_at=stored.recorded_at,
        )
    return head
