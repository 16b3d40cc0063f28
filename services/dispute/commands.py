"""What can be asked of a dispute. Each has been checked for form, not for sense."""

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
    """Decide a dispute. `credit_to` is where the credits go if it is upheld."""

    dispute_id: UUID
    generation_id: str
    outcome: Outcome
    note: str
    credit_to: CreditTo = "current_cycle"


DisputeCommand = OpenDispute | ResolveDispute
DISPUTE_COMMANDS = (OpenDispute, ResolveDispute)
