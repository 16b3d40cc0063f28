"""The public form of a charge, as the API answers it."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from services.catalogue.model import AssetType, Price, Settings
from services.subscription.events import GenerationCharged


class Reversal(Struct, frozen=True):
    """The credits of a charge that were given back, when, and by which dispute."""

    credits: int
    at: datetime
    dispute_id: str


class Charge(Struct, frozen=True):
    """One charge as recorded, with its place in the stream and in the ledger; of a capture, what its hold held.

    One of which credits were given back, wholly or in part, is `reversed`, and says how many, when, by which dispute.
    """

    subscription_id: UUID
    generation_id: str
    asset_type: AssetType
    model: str
    settings: Settings
    credits: int
    price: Price
    balance_before: int
    balance_after: int
    cycle_number: int
    charged_at: datetime
    version: int
    position: int
    status: Literal["charged", "reversed"]
    member: str | UnsetType = UNSET
    held_credits: int | UnsetType = UNSET
    reversed_credits: int | UnsetType = UNSET
    reversed_at: datetime | UnsetType = UNSET
    dispute_id: str | UnsetType = UNSET


def charge_view(
    subscription_id: UUID,
    event: GenerationCharged,
    *,
    charged_at: datetime,
    version: int,
    position: int,
    reversal: Reversal | None = None,
) -> Charge:
    """Make the public form of a charge from its event."""
    return Charge(
        subscription_id=subscription_id,
        generation_id=event.generation_id,
        asset_type=event.asset_type,
        model=event.model,
        settings=event.settings,
        credits=event.credits,
        price=event.price,
        balance_before=event.balance_before,
        balance_after=event.balance_after,
        cycle_number=event.cycle_number,
        charged_at=charged_at,
        version=version,
        position=position,
        status="charged" if reversal is None else "reversed",
        member=event.member or UNSET,
        held_credits=UNSET if event.held_credits is None else event.held_credits,
        reversed_credits=UNSET if reversal is None else reversal.credits,
        reversed_at=UNSET if reversal is None else reversal.at,
        dispute_id=UNSET if reversal is None else reversal.dispute_id,
    )
