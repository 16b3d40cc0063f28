"""The row of `cycles`: the event that began a credit cycle, and the plan from then on where that event names one."""

from msgspec import Struct

from projections.declaration import EventRows, LedgerEvent
from services.subscription.events import CycleReset, PlanUpgraded, SubscriptionStarted, TermRenewed


class CycleRow(Struct, frozen=True):
    """The row of a cycle that began with the event of `first_version`.

    `plan_id` is null where the plan stays as it was.
    """

    first_version: int
    cycle_number: int
    plan_id: str | None


class CycleRenewal(Struct, frozen=True):
    """The change of a row whose cycle began a term too: the plan that was renewed."""

    first_version: int
    plan_id: str


def project(each: LedgerEvent) -> CycleRow | CycleRenewal | None:
    """Make the row of a cycle, or the plan that the renewal right after its reset names; None for any other event."""
    match each.event:
        case SubscriptionStarted(cycle=cycle, plan=plan) | PlanUpgraded(cycle=cycle, plan=plan):
            return CycleRow(each.version, cycle.number, plan.plan_id)
        case CycleReset(cycle=cycle):
            return CycleRow(each.version, cycle.number, None)
        case TermRenewed(plan=plan):
            return CycleRenewal(each.version - 1, plan.plan_id)
        case _:
            return None


CYCLES = EventRows(
    table="cycles",
    row=CycleRow,
    key=("first_version",),
    events=frozenset((SubscriptionStarted, CycleReset, PlanUpgraded, TermRenewed)),
    project=project,
    changes=(CycleRenewal,),
)

PLAN_EVENTS = frozenset((SubscriptionStarted, PlanUpgraded, TermRenewed))
"""The types of events that say on which plan a subscription is."""
