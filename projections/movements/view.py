"""What the API shows of a trial balance."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, field

Zero = Annotated[int, Meta(description="0: every credit is accounted for.")]


class TrialBalance(Struct, frozen=True, kw_only=True):
    """All subscriptions over an interval: opening + granted + reversed = used + lapsed + held + left."""

    since: datetime | UnsetType = field(name="from", default=UNSET)
    until: datetime | UnsetType = field(name="to", default=UNSET)
    position: int
    opening_credits: int
    granted_credits: int
    used_credits: int
    reversed_credits: int
    lapsed_credits: int
    held_credits: int
    left_credits: int
    sum_credits: Zero


class SubscriptionBalance(Struct, frozen=True, kw_only=True):
    """The part of a trial balance that one subscription has, and where its events are."""

    subscription_id: UUID
    opening_credits: int
    granted_credits: int
    used_credits: int
    reversed_credits: int
    lapsed_credits: int
    held_credits: int
    left_credits: int
    sum_credits: Zero
    last_position: Annotated[
        int | UnsetType, Meta(description="The last event of the interval that moved credits, if one did.")
    ] = UNSET
    events: Annotated[
        str | UnsetType, Meta(description="The events from the first on that moved credits, if one did.")
    ] = UNSET
