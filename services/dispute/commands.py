"""The commands on a dispute. Each has been checked for form only."""

from uuid import UUID

from msgspec import Struct

from services.dispute.events import Outcome, Reason
from services.subscription.events import CreditTo


class OpenDispute(Struct, frozen=True):
    """Dispute a charge."""

    dispute_id: UUID
    generation_id: str
    reason: Reason
    note: str


class ResolveDispute(Struct, frozen=True):
    """Decide a dispute. `credit_to` names the cycle that gets the credits if it is upheld."""

    dispute_id: UUID
    generation_id: str
    outcome: Outcome
    note: str
    credit_to: CreditTo = "current_cycle"
    credits: int | None = None
    """The part of the charge that is given back; None for all of it."""


DisputeCommand = OpenDispute | ResolveDispute
DISPUTE_COMMANDS = (OpenDispute, ResolveDispute)
