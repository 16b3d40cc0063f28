"""The commands on a subscription, and the command behind each event. Commands have been checked for form only."""

from datetime import datetime
from typing import assert_never

from msgspec import Struct

from services.catalogue.model import Settings
from services.subscription.events import (
    AlertsChanged,
    CancelWhen,
    ChargeReversed,
    CreditsAdjusted,
    CreditsGranted,
    CreditsHeld,
    CreditTo,
    CycleReset,
    Event,
    GenerationCharged,
    HoldReleased,
    PlanChangeScheduled,
    PlanChangeUnscheduled,
    PlanUpgraded,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionReinstated,
    SubscriptionStarted,
    SubscriptionSuspended,
    TermRenewed,
)

HOLD_SECONDS = 900
HOLD_SECONDS_MAX = 604_800


class StartSubscription(Struct, frozen=True):
    """Take a plan for an account, from now."""

    account_id: str
    plan_id: str
    test_clock_id: str | None = None
    anchor_at: datetime | None = None
    """The anchor that it brings along, and with it the cycle that it is in."""
    used_credits: int = 0
    """The credits that were used in this cycle before."""


class ChargeGeneration(Struct, frozen=True, gc=False):
    """Spend credits on one generation; its id makes the charge happen once."""

    generation_id: str
    model: str
    settings: Settings = Settings()
    member: str | None = None


class HoldCredits(Struct, frozen=True, gc=False):
    """Set credits aside for one generation, for so long; its id makes the hold happen once."""

    generation_id: str
    model: str
    settings: Settings = Settings()
    expires_in_seconds: int = HOLD_SECONDS
    member: str | None = None


class CaptureHold(Struct, frozen=True, gc=False):
    """Charge what is held for a generation: for these settings, or as it was held."""

    generation_id: str
    settings: Settings | None = None


class ReleaseHold(Struct, frozen=True):
    """Set the credits that are held for a generation free."""

    generation_id: str
    reason: str | None = None


class UpgradePlan(Struct, frozen=True):
    """Move to a plan of a higher tier, at once."""

    plan_id: str
    billing_reference: str | None = None


class ScheduleDowngrade(Struct, frozen=True):
    """Move to another plan of the same or a lower tier at the end of the term."""

    plan_id: str


class AdoptTerms(Struct, frozen=True):
    """Take the present terms of the plan that it has, at the end of the term."""

    plan_id: str


class CancelSubscription(Struct, frozen=True):
    """End the subscription, at the end of the term or now."""

    when: CancelWhen


class ChangeAlerts(Struct, frozen=True):
    """Give the subscription thresholds of its own; None: those of the catalogue."""

    alerts: tuple[str, ...] | None


class ResumeSubscription(Struct, frozen=True):
    """Take back the scheduled cancellation or downgrade."""


class SuspendSubscription(Struct, frozen=True):
    """Refuse charges and new holds until it is reinstated."""

    reason: str


class ReinstateSubscription(Struct, frozen=True):
    """Take charges and holds again."""

    reason: str


class ReverseCharge(Struct, frozen=True):
    """Return the credits of a charge; its credits and cycle are passed in, since the state has no charges."""

    generation_id: str
    dispute_id: str
    credit_to: CreditTo
    credits: int
    charged_in_cycle: int


class AdjustCredits(Struct, frozen=True):
    """Settle the difference that a run of a what-if found: give credits, or take them (minus). Once per run."""

    credits: int
    run_id: str
    reason: str


class RecordDue(Struct, frozen=True):
    """Record the boundaries that are due, and nothing else."""


Command = (
    StartSubscription
    | ChargeGeneration
    | HoldCredits
    | CaptureHold
    | ReleaseHold
    | UpgradePlan
    | ScheduleDowngrade
    | AdoptTerms
    | CancelSubscription
    | ResumeSubscription
    | ChangeAlerts
    | SuspendSubscription
    | ReinstateSubscription
    | ReverseCharge
    | AdjustCredits
    | RecordDue
)


def command_behind(event: Event) -> Command:
    """Return the command that an event carries out.

    `RecordDue` where time brought the event, or where it is the second event of one command.
    """
    match event:
        case SubscriptionStarted():
            return StartSubscription(event.account_id, event.plan.plan_id, event.test_clock_id, event.anchor_at)
        case GenerationCharged(held_credits=None):
            return ChargeGeneration(event.generation_id, event.model, event.settings, event.member)
        case GenerationCharged():
            return CaptureHold(event.generation_id, event.settings)
        case CreditsHeld():
            return HoldCredits(event.generation_id, event.model, event.settings, event.expires_in_seconds, event.member)
        case HoldReleased(cause="released"):
            return ReleaseHold(event.generation_id, event.reason)
        case PlanUpgraded():
            return UpgradePlan(event.plan.plan_id, event.billing_reference)
        case PlanChangeScheduled():
            return ScheduleDowngrade(event.plan.plan_id)
        case PlanChangeUnscheduled():
            return ResumeSubscription()
        case AlertsChanged():
            return ChangeAlerts(event.alerts)
        case SubscriptionSuspended():
            return SuspendSubscription(event.reason)
        case SubscriptionReinstated():
            return ReinstateSubscription(event.reason)
        case SubscriptionCancelled():
            return CancelSubscription(event.when)
        case ChargeReversed():
            charged_in_cycle = event.cycle_number if event.credit_to == "original_cycle" else 0
            return ReverseCharge(
                event.generation_id, event.dispute_id, event.credit_to, event.credits, charged_in_cycle
            )
        case CreditsAdjusted():
            return AdjustCredits(event.credits, event.run_id, event.reason)
        case HoldReleased() | CycleReset() | TermRenewed() | SubscriptionEnded() | CreditsGranted():
            return RecordDue()
        case _:
            assert_never(event)
