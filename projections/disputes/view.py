"""The public form of a dispute."""

from datetime import datetime
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from projections.charges.view import Charge
from services.dispute import state as core
from services.dispute.events import DisputeResolved, Outcome, Reason
from services.subscription.events import CreditTo


class Resolution(Struct, frozen=True):
    """How a dispute was decided: upheld, with where the credits went, or rejected, with the rule where one decided.

    `credits` is there where a part of the charge was given back.
    """

    outcome: Outcome
    note: str
    credit_to: CreditTo | UnsetType = UNSET
    rule: str | UnsetType = UNSET
    credits: int | UnsetType = UNSET


class DisputeView(Struct, frozen=True):
    """A dispute about a charge, which is shown as it is now; `version` counts the dispute's own events."""

    dispute_id: UUID
    subscription_id: UUID
    generation_id: str
    reason: Reason
    note: str
    status: core.Status
    opened_at: datetime
    charge: Charge
    version: int
    resolved_at: datetime | UnsetType = UNSET
    resolution: Resolution | UnsetType = UNSET


def dispute_view(
    dispute_id: UUID, state: core.Dispute, charge: Charge, *, opened_at: datetime, moved_at: datetime
) -> DisputeView:
    """Make the public form of a state; `moved_at` is when the dispute's last event was recorded."""
    return DisputeView(
        dispute_id=dispute_id,
        subscription_id=state.subscription_id,
        generation_id=state.generation_id,
        reason=state.reason,
        note=state.note,
        status=state.status,
        opened_at=opened_at,
        charge=charge,
        version=state.version,
        resolved_at=UNSET if state.resolution is None else moved_at,
        resolution=UNSET if state.resolution is None else _resolution(state.resolution),
    )


def _resolution(resolved: DisputeResolved) -> Resolution:
    return Resolution(
        outcome=resolved.outcome,
        note=resolved.note,
        credit_to=resolved.credit_to or UNSET,
        rule=resolved.rule or UNSET,
        credits=resolved.credits or UNSET,
    )
