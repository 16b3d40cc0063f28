"""The bodies that clients send, and the commands that they stand for. Unknown fields are refused."""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from services.catalogue import Settings
from services.catalogue.alerts import THRESHOLDS_MAX, ten_thousandths
from services.catalogue.pricing import CHARACTERS_MAX, COUNT_MAX, DURATION_SECONDS_MAX
from services.http.instants import Instant
from services.http.problems import invalid
from services.subscription.commands import (
    HOLD_SECONDS,
    HOLD_SECONDS_MAX,
    CancelSubscription,
    CaptureHold,
    ChangeAlerts,
    ChargeGeneration,
    HoldCredits,
    ReinstateSubscription,
    ReleaseHold,
    ResumeSubscription,
    ScheduleDowngrade,
    StartSubscription,
    SuspendSubscription,
    UpgradePlan,
)
from services.subscription.events import CancelWhen

GENERATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]+\Z"
_JSON_NUMBER = re.compile(rb"(?=.{1,64}\Z)-?(?P<digits>[0-9]+(\.[0-9]+)?)([eE](?P<exponent>[+-]?[0-9]+))?")
_TINY = Decimal("1e-1000")
"""More decimal places than any field takes."""


def _text(max_length: int, description: str, example: str) -> Meta:
    return Meta(pattern=_NO_CONTROLS, max_length=max_length, description=description, examples=[example])


GenerationId = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9._:-]{1,128}\Z", description="Yours; charged once, for ever.", examples=["track-7f3a"]),
]
MemberId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._:-]{1,128}\Z",
        description="Yours: who of those that share the subscription it is for.",
        examples=["member-7"],
    ),
]
AccountId = Annotated[str, _text(128, "Yours: whose subscription it is.", "account-42"), Meta(min_length=1)]
PlanId = Annotated[str, _text(64, "Of the catalogue: `GET /v1/plans`.", "max-pro-240000-yearly")]
Model = Annotated[str, _text(128, "Of a rate card: `GET /v1/rate-cards`.", "lyria-3")]
TestClockId = Annotated[str, Meta(pattern=_NO_CONTROLS, max_length=128)]
Resolution = Annotated[str, Meta(pattern=_NO_CONTROLS, max_length=64)]
TimeZone = Annotated[str, Meta(max_length=64, description="An IANA time zone.", examples=["Europe/Rome"])]
Threshold = Annotated[str, Meta(pattern=r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)\Z")]
BillingReference = Annotated[
    str, Meta(pattern=_NO_CONTROLS, max_length=255, description="Yours: recorded with the upgrade.")
]


HoldSeconds = Annotated[
    int, Meta(ge=1, le=HOLD_SECONDS_MAX, description="How long it holds, from now.", examples=[HOLD_SECONDS])
]
Reason = Annotated[str, Meta(pattern=_NO_CONTROLS, max_length=255, description="Recorded with the event.")]


AnchorAt = Annotated[
    Instant,
    Meta(description="Of one that moves in: the anchor that its customer has, from which months are counted."),
]
UsedCredits = Annotated[
    int, Meta(ge=0, description="Of one that moves in: what was used in the cycle that it is in.", examples=[0])
]


def _within(low: int, high: int) -> Meta:
    """Document bounds that the model's rule enforces, with `invalid_settings`."""
    return Meta(extra_json_schema={"minimum": low, "maximum": high})


class SettingsRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The settings of a generation that bear on its price. The model's rule says which it needs and knows."""

    duration_seconds: (
        Annotated[
            Raw, Meta(extra_json_schema={"type": "number", "exclusiveMinimum": 0, "maximum": DURATION_SECONDS_MAX})
        ]
        | UnsetType
    ) = UNSET
    count: Annotated[int, _within(1, COUNT_MAX)] | None = None
    resolution: Resolution | None = None
    characters: Annotated[int, _within(1, CHARACTERS_MAX)] | None = None

    def settings(self) -> Settings:
        """Return the settings, with the duration as the exact decimal of the request. Raises Problem."""
        return Settings(
            duration_seconds=None if self.duration_seconds is UNSET else _exact(bytes(self.duration_seconds)),
            count=self.count,
            resolution=self.resolution,
            characters=self.characters,
        )


def settings_of(request: SettingsRequest | UnsetType) -> Settings:
    """Return the settings of a request, which may have none. Raises Problem."""
    return Settings() if request is UNSET else request.settings()


class ChargeRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One generation to charge."""

    generation_id: GenerationId
    model: Model
    settings: SettingsRequest | UnsetType = UNSET
    member: MemberId | None = None

    def command(self) -> ChargeGeneration:
        """Make the command. Raises Problem for a duration that is no number."""
        return ChargeGeneration(self.generation_id, self.model, settings_of(self.settings), self.member)


class HoldRequest(ChargeRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One generation to hold credits for, and for how long."""

    expires_in_seconds: HoldSeconds = HOLD_SECONDS

    def command(self) -> HoldCredits:  # type: ignore[override] # of the same form, and another command
        """Make the command. Raises Problem for a duration that is no number."""
        settings = settings_of(self.settings)
        return HoldCredits(self.generation_id, self.model, settings, self.expires_in_seconds, self.member)


class CaptureRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the generation came to. Without settings it is as it was held."""

    settings: SettingsRequest | UnsetType = UNSET

    def command(self, generation_id: str) -> CaptureHold:
        """Make the command. Raises Problem for a duration that is no number."""
        return CaptureHold(generation_id, None if self.settings is UNSET else self.settings.settings())


class ReleaseRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Why the hold is given up, if there is something to say."""

    reason: Reason | None = None

    def command(self, generation_id: str) -> ReleaseHold:
        """Make the command."""
        return ReleaseHold(generation_id, self.reason)


class StartRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A subscription to start. Without an id, a new one is made up."""

    account_id: AccountId
    plan_id: PlanId
    subscription_id: UUID | None = None
    test_clock_id: TestClockId | None = None
    anchor_at: AnchorAt | None = None
    used_credits: UsedCredits = 0

    def command(self) -> StartSubscription:
        """Make the command."""
        return StartSubscription(self.account_id, self.plan_id, self.test_clock_id, self.anchor_at, self.used_credits)


class QuoteRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A generation to price; with a subscription, whether that could pay for it now."""

    model: Model
    settings: SettingsRequest | UnsetType = UNSET
    subscription_id: UUID | None = None


class UpgradeRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The plan of a higher tier to move to."""

    plan_id: PlanId
    billing_reference: BillingReference | None = None

    def command(self) -> UpgradePlan:
        """Make the command."""
        return UpgradePlan(self.plan_id, self.billing_reference)


class DowngradeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The plan of the same or a lower tier to move to."""

    plan_id: PlanId

    def command(self) -> ScheduleDowngrade:
        """Make the command."""
        return ScheduleDowngrade(self.plan_id)


class CancelRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """When to end: with the term, or at once."""

    when: CancelWhen

    def command(self) -> CancelSubscription:
        """Make the command."""
        return CancelSubscription(self.when)


class AlertsRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The thresholds of the subscription's own; null: those of the catalogue."""

    alerts: (
        Annotated[
            list[Threshold],
            Meta(
                max_length=THRESHOLDS_MAX, description="Parts of the granted credits, each once.", examples=[["0.50"]]
            ),
        ]
        | None
    )

    def command(self) -> ChangeAlerts:
        """Make the command. Raises Problem for a threshold that is there twice."""
        if self.alerts is None:
            return ChangeAlerts(None)
        if len({ten_thousandths(each) for each in self.alerts}) < len(self.alerts):
            raise invalid("alerts", "must have each threshold once")
        return ChangeAlerts(tuple(self.alerts))


class SuspendRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is suspended."""

    reason: Annotated[Reason, Meta(min_length=1, examples=["the renewal was not paid"])]

    def command(self) -> SuspendSubscription:
        """Make the command."""
        return SuspendSubscription(self.reason)


class ReinstateRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is reinstated."""

    reason: Annotated[Reason, Meta(min_length=1, examples=["paid"])]

    def command(self) -> ReinstateSubscription:
        """Make the command."""
        return ReinstateSubscription(self.reason)


class ResumeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """No fields."""

    def command(self) -> ResumeSubscription:
        """Make the command."""
        return ResumeSubscription()


def _exact(number: bytes) -> Decimal | None:
    if number == b"null":
        return None
    if not (match := _JSON_NUMBER.fullmatch(number)):
        raise invalid("settings.duration_seconds", "Expected a number of at most 64 characters")
    try:
        return Decimal(number.decode())
    except InvalidOperation:  # the exponent has more digits than a decimal can have
        if not match["digits"].strip(b"0."):
            return Decimal(0)
        return _TINY if match["exponent"].startswith(b"-") else Decimal("Infinity")
