"""The events of a dispute. The stored form of each class is its fields as JSON, for ever.

The class name is the stored topic, as in `services/subscription/events.py`; the same rules of change hold.
"""

from typing import Literal
from uuid import UUID

from msgspec import Struct

from services.subscription.events import CreditTo

Reason = Literal["unsatisfied", "duplicate", "generation_failed", "not_requested", "wrong_price", "other"]
Outcome = Literal["upheld", "rejected"]


class DisputeOpened(Struct, frozen=True):
    """A charge was disputed; it is at `charge_version` of its subscription's stream."""

    subscription_id: UUID
    generation_id: str
    charge_version: int
    reason: Reason
    note: str


class DisputeResolved(Struct, frozen=True, omit_defaults=True):
    """The dispute was decided: upheld, with the cycle that got the credits, or rejected, maybe by a rule."""

    outcome: Outcome
    note: str
    credit_to: CreditTo | None = None
    rule: str | None = None
    credits: int | None = None
    """The part of the charge that was given back; None for all of it."""


DisputeEvent = DisputeOpened | DisputeResolved
