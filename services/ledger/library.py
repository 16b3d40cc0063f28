"""A ledger as the `eventsourcing` library opens it, for programs that read with its repository and projections.

Recorder, mapper, transcoder and connections are the library's own. This module only names the table, registers the
topics, and lifts the stored JSON to the attributes of stock events. It imports nothing of Tallystick, so a program may
take a copy along. Instants of recording and hashes are columns that the library does not read.
"""

from typing import Any, ClassVar
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, AggregateCreated, AggregateEvent
from eventsourcing.utils import register_topic


class LedgerApplication(Application[UUID]):
    """The library's application on a ledger's table. It reads only: the table refuses what it would save.

    `POSTGRES_DBNAME`, `_HOST`, `_PORT`, `_USER`, `_PASSWORD` and `_SCHEMA`, in the environment, say where it is.
    """

    name = "ledger"
    env: ClassVar[dict[str, str]] = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_SCHEMA": "tallystick",
        "CREATE_TABLE": "n",
    }


class LedgerEvent(AggregateEvent):
    """A recorded event: the fields of its data as attributes, and `metadata`, the caller's key and request."""

    metadata: dict[str, str]
    class_version = 2

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        """Lift `{"data": {...}, "metadata": {...}}`, which is what is stored, to the library's flat form."""
        state.update(state.pop("data"), timestamp=None)


class SubscriptionStarted(LedgerEvent, AggregateCreated):
    """An account took a plan."""

    originator_topic = f"{__name__}:SubscriptionAggregate"
    account_id: str
    plan: dict[str, Any]


class CreditsGranted(LedgerEvent):
    """The first allowance was granted."""

    credits: int

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.balance_credits += self.credits


class GenerationCharged(LedgerEvent):
    """A generation was paid for."""

    generation_id: str
    model: str
    credits: int
    balance_after: int

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.balance_credits = self.balance_after


class CreditsHeld(LedgerEvent):
    """Credits were set aside for a generation; the balance stays as it is."""

    generation_id: str
    model: str
    credits: int
    available_after: int


class HoldReleased(LedgerEvent):
    """A hold ended without a charge: it was released, or expired."""

    generation_id: str
    credits: int
    cause: str


class ChargeReversed(LedgerEvent):
    """The credits of a charge were given back."""

    generation_id: str
    credits: int
    balance_after: int

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.balance_credits = self.balance_after


class CreditsAdjusted(LedgerEvent):
    """Credits were given, or taken (minus), to correct an operator's error."""

    credits: int
    run_id: str
    reason: str

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.balance_credits += self.credits


class CycleReset(LedgerEvent):
    """A credit cycle ended, and the allowance was granted anew."""

    granted_credits: int

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.balance_credits = self.granted_credits


class PlanUpgraded(LedgerEvent):
    """A higher plan took effect, with the counters that its policy left."""

    plan: dict[str, Any]
    granted_credits: int
    used_credits: int
    reversed_credits: int

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.plan_id = self.plan["plan_id"]
        aggregate.balance_credits = self.granted_credits - self.used_credits + self.reversed_credits
        aggregate.status = "active"


class TermRenewed(LedgerEvent):
    """A term ended and the next began, with the plan that it has."""

    plan: dict[str, Any]

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.plan_id = self.plan["plan_id"]


class PlanChangeScheduled(LedgerEvent):
    """A move to another plan was set for the end of the term."""

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.status = "active"


class PlanChangeUnscheduled(LedgerEvent):
    """The scheduled cancellation or downgrade was taken back."""

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.status = "active"


class AlertsChanged(LedgerEvent):
    """The subscription got thresholds of its own, or those of the catalogue again."""


class SubscriptionCancelled(LedgerEvent):
    """The subscription will not renew, or ended on the spot."""

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.status = "cancelling"


class SubscriptionSuspended(LedgerEvent):
    """Charges are refused until it is reinstated."""

    reason: str


class SubscriptionReinstated(LedgerEvent):
    """The suspension was taken back."""

    reason: str


class SubscriptionEnded(LedgerEvent):
    """Nothing can be charged any more."""

    def apply(self, aggregate: "SubscriptionAggregate") -> None:
        aggregate.status, aggregate.balance_credits = "ended", 0


class DisputeOpened(LedgerEvent):
    """A charge was disputed. The events of a dispute are a stream of its own."""

    subscription_id: str
    generation_id: str


class DisputeResolved(LedgerEvent):
    """A dispute was decided: `upheld` or `rejected`."""

    outcome: str


class SubscriptionAggregate(Aggregate):
    """A subscription as its recorded events left it; boundaries that are due and not recorded yet are not applied."""

    def __init__(self, account_id: str, plan: dict[str, Any]) -> None:
        self.account_id = account_id
        self.plan_id: str = plan["plan_id"]
        self.status = "active"
        self.balance_credits = 0


for _event in LedgerEvent.__subclasses__():
    register_topic(_event.__name__, _event)
