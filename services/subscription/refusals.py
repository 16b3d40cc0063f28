"""The refusals of commands. The docstring of each is its message to the caller; its fields are what they can act on.

`code` is the stable public name; `services/http/problems.py` has the one table that gives each its HTTP status.
"""

from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from services.catalogue.model import AssetType


class Refusal(Struct, frozen=True):
    """The command was refused."""

    code: ClassVar[str] = "refused"

    @property
    def detail(self) -> str:
        """The message: one sentence for a person."""
        return (type(self).__doc__ or "").strip().splitlines()[0]


class UnknownSubscription(Refusal, frozen=True):
    """There is no subscription with this id."""

    code: ClassVar[str] = "unknown_subscription"


class UnknownPlan(Refusal, frozen=True):
    """The catalogue has no such plan."""

    code: ClassVar[str] = "unknown_plan"
    plan_id: str


class UnknownModelRefused(Refusal, frozen=True):
    """The rate card in force has no such model."""

    code: ClassVar[str] = "unknown_model"
    model: str


class InvalidSettingsRefused(Refusal, frozen=True):
    """The settings do not fit the model's rule."""

    code: ClassVar[str] = "invalid_settings"
    key: str
    reason: str

    @property
    def detail(self) -> str:
        return f"{self.key} {self.reason}"


class InvalidValue(Refusal, frozen=True):
    """A value of the request does not fit what it is about."""

    code: ClassVar[str] = "invalid_request"
    field: str
    reason: str

    @property
    def detail(self) -> str:
        return f"{self.field} {self.reason}"


class SubscriptionExists(Refusal, frozen=True):
    """A subscription with this id was started with another body."""

    code: ClassVar[str] = "subscription_exists"


class SubscriptionHasEnded(Refusal, frozen=True):
    """The subscription has ended; it can only be read."""

    code: ClassVar[str] = "subscription_ended"


class SubscriptionIsSuspended(Refusal, frozen=True):
    """The subscription is suspended; nothing new can be charged or held until it is reinstated."""

    code: ClassVar[str] = "subscription_suspended"


class InsufficientCredits(Refusal, frozen=True):
    """The generation costs more credits than are available in this cycle."""

    code: ClassVar[str] = "insufficient_credits"
    required_credits: int
    balance_credits: int
    available_credits: int
    credits_renew_at: datetime | None
    upgrade_options: tuple[str, ...]


class NotInPlan(Refusal, frozen=True):
    """The plan does not include this asset type."""

    code: ClassVar[str] = "not_in_plan"
    asset_type: AssetType
    plan_id: str
    upgrade_options: tuple[str, ...]


class NotAnUpgrade(Refusal, frozen=True):
    """An upgrade goes to a plan of a higher tier."""

    code: ClassVar[str] = "not_an_upgrade"
    plan_id: str


class NotADowngrade(Refusal, frozen=True):
    """A downgrade goes to another plan of the same or a lower tier."""

    code: ClassVar[str] = "not_a_downgrade"
    plan_id: str


class UnknownHold(Refusal, frozen=True):
    """There is no hold of this generation."""

    code: ClassVar[str] = "unknown_hold"
    generation_id: str


class HoldExpired(Refusal, frozen=True):
    """The hold has expired; its id is spent."""

    code: ClassVar[str] = "hold_expired"
    generation_id: str


class HoldWasReleased(Refusal, frozen=True):
    """The hold was released; its id is spent."""

    code: ClassVar[str] = "hold_released"
    generation_id: str


class TooManyHolds(Refusal, frozen=True):
    """The subscription has 1,000 open holds; capture or release some of them."""

    code: ClassVar[str] = "too_many_holds"


class HoldsOutstanding(Refusal, frozen=True):
    """The upgrade would leave fewer credits than are held; capture or release some of them first."""

    code: ClassVar[str] = "holds_outstanding"
    held_credits: int
    balance_after: int


class NothingScheduled(Refusal, frozen=True):
    """There is no scheduled change to take back."""

    code: ClassVar[str] = "nothing_scheduled"


class CycleClosed(Refusal, frozen=True):
    """The cycle has ended: credits of a charge can go to the current one, and a hold covers what was held at most."""

    code: ClassVar[str] = "cycle_closed"


class VersionMismatch(Refusal, frozen=True):
    """The subscription has changed since the version that was expected."""

    code: ClassVar[str] = "version_mismatch"
    version: int
