"""The public form of a hold, as the API answers it."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from projections.charges.view import Charge
from services.catalogue.model import AssetType, Price, Settings
from services.subscription.events import CreditsHeld

HoldStatus = Literal["held", "captured", "released", "expired"]


class Hold(Struct, frozen=True):
    """Credits set aside for a generation, with the place of the event in the stream and in the ledger.

    Once it is captured, `charge` is what it came to. An upgrade takes an open hold along to its new cycle.
    """

    subscription_id: UUID
    generation_id: str
    asset_type: AssetType
    model: str
    settings: Settings
    credits: int
    price: Price
    status: HoldStatus
    expires_at: datetime
    held_at: datetime
    cycle_number: int
    version: int
    position: int
    member: str | UnsetType = UNSET
    charge: Charge | UnsetType = UNSET


def hold_view(
    subscription_id: UUID,
    event: CreditsHeld,
    *,
    status: HoldStatus,
    cycle_number: int,
    held_at: datetime,
    version: int,
    position: int,
    charge: Charge | UnsetType = UNSET,
) -> Hold:
    """Make the public form of a hold from its event."""
    return Hold(
        subscription_id=subscription_id,
        generation_id=event.generation_id,
        asset_type=event.asset_type,
        model=event.model,
        settings=event.settings,
        credits=event.credits,
        price=event.price,
        status=status,
        expires_at=event.expires_at,
        held_at=held_at,
        cycle_number=cycle_number,
        version=version,
        position=position,
        member=event.member or UNSET,
        charge=charge,
    )
