"""What can be asked of a subscription. Each has been checked for form, not for sense."""

from msgspec import Struct

from services.catalogue.model import Settings
from services.subscription.events import CancelWhen, CreditTo


class StartSubscription(Struct, frozen=True):
    """Take a plan for an account, from now."""

    account_id: str
    plan_id: str
    test_clock_id: str | None = None


class ChargeGeneration(Struct, frozen=True):
    """Spend credits on one generation; its id makes the charge happen once."""

    generation_id: str
    model: str
    settings: Settings = Settings()


class UpgradePlan(Struct, frozen=True):
    """Move to a plan of a higher tier, at once."""

    plan_id: str
    billing_reference: str | None = None


class ScheduleDowngrade(Struct, frozen=True):
    """Move to another plan of the same or a lower tier at the end of the term."""

    plan_id: str


class CancelSubscription(Struct, frozen=True):
    """End the subscription, at the end of the term or now."""

    when: CancelWhen


class ResumeSubscription(Struct, frozen=True):
    """Take back the scheduled cancellation or downgrade."""


class ReverseCharge(Struct, frozen=True):
    """Give the credits of a charge back; what was charged is passed in, since the state does not keep charges."""

    generation_id: str
    dispute_id: str
    credit_to: CreditTo
    credits: int
    charged_in_cycle: int


class RecordDue(Struct, frozen=True):
    """Record the boundaries that are due, and nothing else."""


Command = (
    StartSubscription
    | ChargeGeneration
    | UpgradePlan
    | ScheduleDowngrade
    | CancelSubscription
    | ResumeSubscription
    | ReverseCharge
    | RecordDue
)
