"""The refusals of commands on a dispute, beside those of the subscription itself."""

from typing import ClassVar

from services.subscription.refusals import Refusal


class UnknownDispute(Refusal, frozen=True):
    """There is no dispute with this id."""

    code: ClassVar[str] = "unknown_dispute"


class UnknownCharge(Refusal, frozen=True):
    """This subscription has no charge for this generation."""

    code: ClassVar[str] = "unknown_charge"
    generation_id: str


class DisputeClosed(Refusal, frozen=True):
    """The dispute has been decided, for good."""

    code: ClassVar[str] = "dispute_closed"


class ChargeHasOpenDispute(Refusal, frozen=True):
    """The charge has an open dispute already; that one is to be resolved first."""

    code: ClassVar[str] = "dispute_open"


class ChargeAlreadyReversed(Refusal, frozen=True):
    """The credits of this charge have been given back already, which happens once."""

    code: ClassVar[str] = "charge_already_reversed"
