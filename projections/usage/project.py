"""The row of `usage`: sums of what was charged and reversed."""

from datetime import UTC, date

from msgspec import Struct

from projections.declaration import LedgerEvent, Sums
from services.catalogue.model import AssetType
from services.subscription.events import ChargeReversed, GenerationCharged


class UsageRow(Struct, frozen=True, gc=False):
    """Usage of a model on a day of UTC, or what one event adds to it."""

    day: date
    model: str
    asset_type: AssetType
    charges: int = 0
    credits: int = 0
    reversed_credits: int = 0


def project(each: LedgerEvent) -> UsageRow:
    """Make what a charge or a reversal adds: each on its own day, a reversal under the model of its charge.

    Raises TypeError for any other event.
    """
    event, day = each.event, each.recorded_at.astimezone(UTC).date()
    match event:
        case GenerationCharged():
            return UsageRow(day, event.model, event.asset_type, 1, event.credits, 0)
        case ChargeReversed():
            charge = each.reversed_charge
            assert charge is not None
            return UsageRow(day, charge.model, charge.asset_type, 0, 0, event.credits)
        case _:
            raise TypeError(f"{type(event).__name__} is no usage")


USAGE = Sums(
    table="usage",
    row=UsageRow,
    key=("day", "model", "asset_type"),
    events=frozenset((GenerationCharged, ChargeReversed)),
    project=project,
)
