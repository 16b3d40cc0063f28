"""The public form of a charge, as the API answers it."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from services.catalogue.model import AssetType, Price, Settings
from services.subscription.events import GenerationCharged


class Charge(Struct, frozen=True):
    """One charge as recorded, with its place in the stream and in the ledger; of a capture, what its hold held."""

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


def charge_view(
    subscription_id: UUID,
    event: GenerationCharged,
    *,
    charged_at: datetime,
    version: int,
    position: int,
    is_reversed: bool = False,
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
        status="reversed" if is_reversed else "charged",
        member=event.member or UNSET,
        held_credits=UNSET if event.held_credits is None else event.held_credits,
    )
