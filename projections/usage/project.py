"""The row of `usage`: sums of what was charged and reversed."""

from datetime import UTC, date

from msgspec import Struct

from projections.declaration import LedgerEvent, Sums
from services.catalogue.model import AssetType
from services.subscription.events import ChargeReversed, GenerationCharged


class UsageRow(Struct, frozen=True, gc=False):
    """Usage of a model on a day of UTC, in a cycle, on a plan, by a member; or what one event adds to it.

    `member` is empty where a charge names none.
    """

    day: date
    cycle_number: int
    plan_id: str
    model: str
    asset_type: AssetType
    member: str
    charges: int = 0
    credits: int = 0
    reversed_credits: int = 0


def project(each: LedgerEvent) -> UsageRow:
    """Make what a charge or a reversal adds, on its own day and plan.

    A charge counts in the cycle that it belongs to. A reversal counts in the cycle that the credits were given back in,
    under the model, the asset type and the member of its charge. Raises TypeError for any other event.
    """
    event, day, plan_id = each.event, each.recorded_at.astimezone(UTC).date(), each.plan_id
    assert plan_id is not None
    match event:
        case GenerationCharged():
            return UsageRow(
                *(day, event.cycle_number, plan_id, event.model, event.asset_type, event.member or ""),
                charges=1,
                credits=event.credits,
            )
        case ChargeReversed():
            charge = each.reversed_charge
            assert charge is not None
            return UsageRow(
                *(day, event.cycle_number, plan_id, charge.model, charge.asset_type, charge.member or ""),
                reversed_credits=event.credits,
            )
        case _:
            raise TypeError(f"{type(event).__name__} is no usage")


USAGE = Sums(
    table="usage",
    row=UsageRow,
    key=("day", "cycle_number", "plan_id", "model", "asset_type", "member"),
    events=frozenset((GenerationCharged, ChargeReversed)),
    project=project,
)
