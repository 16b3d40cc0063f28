"""The events of a subscription. The stored form of each class is its fields as JSON, for ever.

The class name is the stored topic. A field may be added with a default; any other change needs a new version and an
upcaster (`services/ledger/mapper.py`). Credits are whole numbers, instants UTC with microseconds.
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from services.catalogue.model import AssetType, BillingPeriod, Money, Price, Settings
from services.catalogue.policies import UpgradePolicy
from services.catalogue.rate_card import PricedModel
from services.subscription.calendar import Period

ChangeKind = Literal["cancel", "downgrade"]
CancelWhen = Literal["term_end", "now"]
CreditTo = Literal["original_cycle", "current_cycle"]
ReleaseCause = Literal["released", "expired"]


class PlanTerms(Struct, frozen=True, gc=False, omit_defaults=True):
    """The plan as it was when it was agreed; a later catalogue does not change it."""

    plan_id: str
    name: str
    tier: int
    monthly_credits: int
    billing_period: BillingPeriod
    asset_types: tuple[AssetType, ...]
    price: Money | None = None


class SubscriptionStarted(Struct, frozen=True, omit_defaults=True):
    """An account took a plan; the anchor is the start of the first cycle and of the first term.

    One that moves in brings an anchor of its own along, and is in the cycle and the term that it gives.
    """

    account_id: str
    plan: PlanTerms
    cycle: Period
    term: Period
    test_clock_id: str | None = None
    anchor_at: datetime | None = None
    started_at: datetime | None = None
    """When it moved in, where it brought an anchor along."""


class CreditsGranted(Struct, frozen=True, omit_defaults=True):
    """The first allowance was granted, of which one that moved in has used some before.

    Later allowances are part of the `CycleReset` or `PlanUpgraded` that brings them.
    """

    credits: int
    cycle_number: int
    used_credits: int = 0


class AlertCrossed(Struct, frozen=True, gc=False):
    """What is available fell to a threshold, a part of the granted credits, or below it."""

    threshold: str
    available_credits: int
    granted_credits: int
    crossed_at: datetime


class GenerationCharged(Struct, frozen=True, gc=False, omit_defaults=True):
    """A generation was paid for; `price` explains its credits without the catalogue.

    A capture is the charge of what was held, which was `held_credits`.
    """

    generation_id: str
    model: str
    asset_type: AssetType
    settings: Settings
    credits: int
    price: Price
    balance_after: int
    cycle_number: int
    alerts: tuple[AlertCrossed, ...] = ()
    """The thresholds that the charge crossed, for the first time in the cycle."""
    member: str | None = None
    held_credits: int | None = None
    is_late: bool = False
    """Whether the cycle of the hold had ended. The credits are then of that cycle, and the balance stays as it is."""

    @property
    def balance_before(self) -> int:
        """The balance that the charge was decided on."""
        return self.balance_after if self.is_late else self.balance_after + self.credits


class CreditsHeld(Struct, frozen=True, gc=False, omit_defaults=True):
    """Credits were set aside for a generation, by the card then in force; `entry` is what that says of the model."""

    generation_id: str
    model: str
    asset_type: AssetType
    settings: Settings
    credits: int
    price: Price
    entry: PricedModel
    expires_in_seconds: int
    expires_at: datetime
    available_after: int
    cycle_number: int
    member: str | None = None
    alerts: tuple[AlertCrossed, ...] = ()
    """The thresholds that the hold crossed, for the first time in the cycle."""


class HoldReleased(Struct, frozen=True, gc=False, omit_defaults=True):
    """A hold ended without a charge: it was released, or expired.

    Its credits are free again, or lapse where the cycle that it belongs to has ended.
    """

    generation_id: str
    credits: int
    cause: ReleaseCause
    cycle_number: int
    lapsed_credits: int = 0
    reason: str | None = None


class PlanUpgraded(Struct, frozen=True, omit_defaults=True):
    """A higher plan took effect at once: new anchor, cycle and term, and the counters that its policy left."""

    from_plan_id: str
    plan: PlanTerms
    policy: UpgradePolicy
    balance_before: int
    granted_credits: int
    used_credits: int
    reversed_credits: int
    carried_credits: int
    cycle: Period
    term: Period
    billing_reference: str | None = None
    undeducted_credits: int = 0
    """Used credits that could not be deducted, since the new allowance is smaller."""


class CycleReset(Struct, frozen=True, omit_defaults=True):
    """A credit cycle ended: what was available lapsed, what was held stays held, the allowance was granted anew."""

    cycle: Period
    granted_credits: int
    lapsed_credits: int
    held_credits: int = 0


class TermRenewed(Struct, frozen=True):
    """A term ended and the next began, with the plan (and price) that it has from now on."""

    term: Period
    plan: PlanTerms


class PlanChangeScheduled(Struct, frozen=True):
    """A move to another plan of the same or a lower tier, or to other terms of its own, was set for the term's end."""

    plan: PlanTerms
    effective_at: datetime


class PlanChangeUnscheduled(Struct, frozen=True):
    """The scheduled cancellation or downgrade was withdrawn."""

    kind: ChangeKind


class AlertsChanged(Struct, frozen=True, omit_defaults=True):
    """The subscription got thresholds of its own, or those of the catalogue again."""

    alerts: tuple[str, ...] | None = None


class SubscriptionCancelled(Struct, frozen=True):
    """The subscription will not renew (`term_end`), or ended on the spot (`now`)."""

    when: CancelWhen
    effective_at: datetime


class SubscriptionSuspended(Struct, frozen=True):
    """Charges and new holds are refused until it is reinstated; time goes on, and holds are captured."""

    reason: str


class SubscriptionReinstated(Struct, frozen=True):
    """The suspension was taken back."""

    reason: str


class SubscriptionEnded(Struct, frozen=True, omit_defaults=True):
    """Nothing can be charged any more; what was available lapsed, and what was held stays held."""

    ended_at: datetime
    lapsed_credits: int
    held_credits: int = 0


class ChargeReversed(Struct, frozen=True, gc=False, omit_defaults=True):
    """A dispute was upheld, and the credits of its charge were returned."""

    generation_id: str
    dispute_id: str
    credits: int
    credit_to: CreditTo
    cycle_number: int
    balance_after: int
    deducted_credits: int = 0
    """The part that an upgrade after the charge could not deduct, and that is deducted now."""


class CreditsAdjusted(Struct, frozen=True, omit_defaults=True):
    """An operator's error was settled, by the run of a what-if that found it: credits were given, or taken (minus).

    No more is taken than was available, so that `credits` may be 0 where the run found a difference.
    """

    credits: int
    run_id: str
    reason: str
    cycle_number: int | None = None
    """The cycle in which alerts were crossed."""
    alerts: tuple[AlertCrossed, ...] = ()
    """The thresholds that it crossed, for the first time in the cycle."""


Event = (
    SubscriptionStarted
    | CreditsGranted
    | GenerationCharged
    | CreditsHeld
    | HoldReleased
    | PlanUpgraded
    | CycleReset
    | TermRenewed
    | PlanChangeScheduled
    | PlanChangeUnscheduled
    | AlertsChanged
    | SubscriptionCancelled
    | SubscriptionSuspended
    | SubscriptionReinstated
    | SubscriptionEnded
    | ChargeReversed
    | CreditsAdjusted
)
