"""Examples for the documentation: one subscription, as its fields look through a first month."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from msgspec import Raw
from msgspec.structs import asdict, replace

from projections.balance.project import project as balance_row
from projections.balance.view import balance_view
from projections.charges.view import charge_view
from projections.holds.view import hold_view
from projections.renewal.agenda import UpcomingChange
from projections.renewal.view import ScheduledChangeView, SubscribedPlan, renewal_view, subscription_view
from services.catalogue import Money, PerSecond, PerTrack, Plan, Price, RateCard, Settings
from services.clocks import Advanced, Reading, Recorded
from services.http.audit_requests import WhatIfRequest
from services.http.paging import Page
from services.http.previews import DowngradePreview, Quote, UpgradePreview
from services.http.problems import (
    FieldError,
    InvalidRequest,
    MalformedRequest,
    MissingScope,
    NotAcceptable,
    NotStartedThen,
    RequestTooLarge,
    UnknownCharge,
    UnsupportedEncoding,
)
from services.http.readiness import Readiness
from services.http.requests import (
    AlertsRequest,
    CancelRequest,
    CaptureRequest,
    ChargeRequest,
    DowngradeRequest,
    HoldRequest,
    QuoteRequest,
    ReinstateRequest,
    ReleaseRequest,
    SettingsRequest,
    StartRequest,
    SuspendRequest,
    UpgradeRequest,
)
from services.http.server.reply import encode
from services.ledger.as_of import PastSubscription
from services.ledger.history import StoredEvent, StoredRefusal
from services.ledger.submission import GenerationHeld, GenerationIdConflict, UnknownTestClock
from services.ledger.what_if import Difference, WhatIfAnswer, fields_of
from services.subscription.calendar import Period, months_after
from services.subscription.events import CreditsGranted, CreditsHeld, GenerationCharged, PlanTerms, SubscriptionStarted
from services.subscription.refusals import (
    HoldExpired,
    HoldsOutstanding,
    HoldWasReleased,
    InsufficientCredits,
    InvalidSettingsRefused,
    NotADowngrade,
    NotAnUpgrade,
    NotInPlan,
    Refusal,
    UnknownHold,
    UnknownModelRefused,
    UnknownPlan,
    VersionMismatch,
)
from services.subscription.state import evolve

T = TypeVar("T")

_ID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
_START = datetime(2026, 1, 31, 10, tzinfo=UTC)
_CHARGED = datetime(2026, 2, 3, 9, 15, 12, 345678, tzinfo=UTC)
_UPGRADED = datetime(2026, 2, 10, 16, 30, tzinfo=UTC)
_PRICE = Price(rate_card="2020-01", rule="per_track", unit="track", quantity=Decimal(1), credits_per_unit=Decimal(150))


_VIDEO_PRICE = Price(
    rate_card="2020-01",
    rule="per_second",
    unit="second",
    quantity=Decimal(12),
    credits_per_unit=Decimal("12.5"),
)


def _month(number: int, anchor_at: datetime = _START) -> Period:
    return Period(number, months_after(anchor_at, number - 1), months_after(anchor_at, number))


_SUITE = PlanTerms(
    "ai-suite-40000-monthly",
    "AI Suite Starter 40,000",
    3,
    40_000,
    "monthly",
    ("voiceover", "image", "video", "music"),
)
PLAN = Plan(**asdict(_SUITE))
_MAX = SubscribedPlan("max-pro-240000-yearly", "Max Pro 240,000", 5, 240_000, "yearly", _SUITE.asset_types)
_CHARGE_EVENT = GenerationCharged(
    generation_id="track-7f3a",
    model="lyria-3",
    asset_type="music",
    settings=Settings(duration_seconds=Decimal(180), count=1),
    credits=150,
    price=_PRICE,
    balance_after=39_850,
    cycle_number=1,
)

_STARTED = evolve(None, SubscriptionStarted("account-42", _SUITE, cycle=_month(1), term=_month(1)))
_GRANTED = evolve(_STARTED, CreditsGranted(40_000, cycle_number=1))
_STATE = evolve(_GRANTED, _CHARGE_EVENT)

SUBSCRIPTION = subscription_view(_ID, _GRANTED, _GRANTED.version)
_YEAR = Period(2, _UPGRADED, months_after(_UPGRADED, 12))
_FIRST_OF_MAX = Period(2, _UPGRADED, months_after(_UPGRADED, 1))
UPGRADED = replace(SUBSCRIPTION, plan=_MAX, anchor_at=_UPGRADED, cycle=_FIRST_OF_MAX, term=_YEAR, version=4)
CANCELLING = replace(
    SUBSCRIPTION,
    status="cancelling",
    scheduled_change=ScheduledChangeView("cancel", SUBSCRIPTION.term.ends_at),
    version=3,
)
SUSPENDED = replace(SUBSCRIPTION, status="suspended", version=3)
DOWNGRADING = replace(
    SUBSCRIPTION,
    scheduled_change=ScheduledChangeView("downgrade", SUBSCRIPTION.term.ends_at, "ai-starter-16500-monthly"),
    version=3,
)
BALANCE = balance_view(_ID, balance_row(_STATE, position=1_874), _CHARGED)
RENEWAL = renewal_view(_ID, _STATE)
CHARGE = charge_view(_ID, _CHARGE_EVENT, charged_at=_CHARGED, version=3, position=1_874)
_HELD = hold_view(
    _ID,
    CreditsHeld(
        generation_id="video-2b8e",
        model="example-video-1",
        asset_type="video",
        settings=Settings(duration_seconds=Decimal(12), count=1),
        credits=150,
        price=_VIDEO_PRICE,
        entry=PerSecond(model="example-video-1", asset_type="video", credits=Decimal("12.5")),
        expires_in_seconds=900,
        expires_at=_CHARGED + timedelta(seconds=900),
        available_after=39_700,
        cycle_number=1,
    ),
    status="held",
    cycle_number=1,
    held_at=_CHARGED,
    version=4,
    position=1_875,
)
HOLD = _HELD
RELEASED_HOLD = replace(_HELD, status="released")
CAPTURE = charge_view(
    _ID,
    GenerationCharged(
        generation_id="video-2b8e",
        model="example-video-1",
        asset_type="video",
        settings=Settings(duration_seconds=Decimal(10), count=1),
        credits=125,
        price=replace(_VIDEO_PRICE, quantity=Decimal(10)),
        balance_after=39_725,
        cycle_number=1,
        held_credits=150,
    ),
    charged_at=_CHARGED + timedelta(seconds=95),
    version=5,
    position=1_880,
)
QUOTE = Quote(credits=150, price=_PRICE, affordable=True, balance_after=39_850)
UPGRADE_PREVIEW = UpgradePreview(
    plan=_MAX,
    policy="deduct_used",
    balance_before=39_850,
    balance_after=239_850,
    granted_credits=240_000,
    used_credits=150,
    reversed_credits=0,
    carried_credits=0,
    lapsing_credits=0,
    cycle=_FIRST_OF_MAX,
    term=_YEAR,
    price=Money("1.00", "USD"),
)
DOWNGRADE_PREVIEW = DowngradePreview(
    plan=SubscribedPlan("ai-starter-16500-monthly", "AI Starter 16,500", 2, 16_500, "monthly", _SUITE.asset_types),
    effective_at=_month(1).ends_at,
    balance_before=39_850,
    balance_after=16_500,
    lapsing_credits=39_850,
    cycle=_month(2),
    term=_month(2),
    price=Money("1.00", "USD"),
)
RATE_CARD = RateCard(
    version="2020-01",
    effective_from=datetime(2020, 1, 1, tzinfo=UTC),
    models=(PerTrack(model="lyria-3", asset_type="music", credits=Decimal(150)),),
)
EVENT = StoredEvent(
    position=1_874,
    subscription_id=_ID,
    version=3,
    type="GenerationCharged",
    recorded_at=_CHARGED,
    data=Raw(encode(_CHARGE_EVENT)),
    metadata=Raw(b'{"key_id":"k3v7m2qa","request_id":"8rVbW2mJ4kQ1xZpN"}'),
    hash="5d0b4b6f0f9a1a53b3b7d5f6f1d4c9b1e8a7c2d3e4f5061728394a5b6c7d8e9f",
    previous_hash="a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90",
)
PAST = PastSubscription(replace(SUBSCRIPTION, version=3), BALANCE, EVENT)
WHAT_IF_REQUEST = WhatIfRequest(without_generations=["track-7f3a"])
WHAT_IF = WhatIfAnswer(
    actual=BALANCE,
    replayed=replace(BALANCE, balance_credits=40_000, used_credits=0, version=2),
    differences=[
        Difference(
            version=3,
            type="GenerationCharged",
            generation_id="track-7f3a",
            actual={"outcome": "charged", **fields_of(_CHARGE_EVENT)},
            replayed=None,
        )
    ],
)
UPCOMING_CHANGE = UpcomingChange(
    subscription_id=_ID,
    account_id=SUBSCRIPTION.account_id,
    plan_id=_SUITE.plan_id,
    status="active",
    credits_renew_at=_month(1).ends_at,
    subscription_renews_at=_month(1).ends_at,
    next_boundary_at=_month(1).ends_at,
)
TEST_CLOCK = Reading("5b1f7a3e-90c4-4c55-8f0e-2f6d2a9d7c11", _START)
ADVANCED = Advanced(TEST_CLOCK.test_clock_id, months_after(_START, 12), Recorded(subscriptions=1, events=13))
REFUSAL = StoredRefusal(
    op="charge",
    generation_id="track-9c1d",
    model="lyria-3-pro",
    settings=Raw(b'{"count":1}'),
    code="insufficient_credits",
    required_credits=300,
    balance_credits=100,
    available_credits=100,
    version=267,
    refused_at=_CHARGED,
)
CHARGE_STREAMS = {
    "text/csv": "position,subscription_id,version,generation_id,charged_at,status,asset_type,model,duration_seconds,"
    "count,resolution,characters,rate_card,rule,unit,quantity,credits_per_unit,credits,balance_before,balance_after,"
    f"cycle_number,account_id,plan_id,member,held_credits,reversed_credits,reversed_at,dispute_id\r\n1874,{_ID},3,track-7f3a,2026-02-03T09:15:12.345678Z,charged,music,lyria-3,180,1,,,2020-01,"
    "per_track,track,1,150,150,40000,39850,1,account-42,ai-suite-40000-monthly,,,,,\r\n",
    "application/x-ndjson": encode(CHARGE).decode() + "\n",
}
EVENT_STREAMS = {
    "text/csv": "position,subscription_id,version,type,recorded_at,data,metadata,hash,previous_hash,dispute_id\r\n"
    f'1,{_ID},2,CreditsGranted,2026-01-31T10:00:00.000000Z,"{{""credits"":40000,""cycle_number"":1}}",'
    f'"{{""key_id"":""k3v7m2qa"",""request_id"":""8rVbW2mJ4kQ1xZpN""}}",{EVENT.hash},{EVENT.previous_hash},\r\n',
    "application/x-ndjson": encode(EVENT).decode() + "\n",
    "text/event-stream": f"id: 1874\nevent: GenerationCharged\ndata: {encode(EVENT).decode()}\n\n",
}
READY = Readiness(
    "ready", True, True, True, True, True, True, projection_lag_events=0, sealing="ok", unwitnessed_seconds=0.0
)
NOT_READY = Readiness.without_database(is_lane_well=True)
METRICS = (
    'tallystick_http_request_seconds_count{method="POST",'
    'route="/v1/subscriptions/{subscription_id}/charges",status="201"} 1874.0\n'
)

START = StartRequest(account_id="account-42", plan_id=_SUITE.plan_id, subscription_id=_ID)
CHARGE_REQUEST = ChargeRequest("track-7f3a", "lyria-3", SettingsRequest(duration_seconds=Raw(b"180")))
HOLD_REQUEST = HoldRequest(
    "video-2b8e", "example-video-1", SettingsRequest(duration_seconds=Raw(b"12")), expires_in_seconds=900
)
CAPTURE_REQUEST = CaptureRequest(SettingsRequest(duration_seconds=Raw(b"10")))
RELEASE_REQUEST = ReleaseRequest("the job failed")
QUOTE_REQUEST = QuoteRequest("lyria-3", SettingsRequest(duration_seconds=Raw(b"180")), _ID)
UPGRADE = UpgradeRequest(_MAX.plan_id, "invoice-2026-0042")
ALERTS = AlertsRequest(["0.50", "0.10"])
ALERTING = replace(SUBSCRIPTION, alerts=("0.50", "0.10"), version=3)
DOWNGRADE = DowngradeRequest("ai-starter-16500-monthly")
CANCEL = CancelRequest("term_end")
SUSPEND = SuspendRequest("the renewal was not paid")
REINSTATE = ReinstateRequest("paid")

PATH_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "level": {"schema": {"type": "string", "pattern": "^([0-9]|[1-5][0-9]|6[0-3])$"}, "example": "0"},
    "tile": {
        "schema": {"type": "string", "pattern": r"^(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?$"},
        "example": "x001/x234/067.p/17",
    },
    "subscription_id": {"schema": {"type": "string", "format": "uuid"}, "example": str(_ID)},
    "cycle": {"schema": {"type": "integer", "minimum": 1}, "example": 1},
    "generation_id": {
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
        "example": CHARGE.generation_id,
    },
    "webhook_id": {
        "schema": {"type": "string", "format": "uuid"},
        "example": "6a1f0e52-7c3b-4d8e-9f10-2b3c4d5e6f70",
    },
    "test_clock_id": {"schema": {"type": "string", "format": "uuid"}, "example": TEST_CLOCK.test_clock_id},
    "plan_id": {"schema": {"type": "string"}, "example": _SUITE.plan_id},
    "dispute_id": {
        "schema": {"type": "string", "format": "uuid"},
        "example": "5b1e7f3c-2a94-4c7e-9d35-0c6f8a1b2d4e",
    },
}

_REFUSALS: tuple[Refusal, ...] = (
    MalformedRequest("JSON is malformed: invalid character (byte 17)"),
    InvalidRequest((FieldError("settings.count", "Expected int, got str"),)),
    MissingScope("manage"),
    RequestTooLarge(65_536),
    UnsupportedEncoding(),
    NotAcceptable(("application/json", "text/csv", "application/x-ndjson")),
    NotStartedThen(_START),
    UnknownCharge("track-7f3a"),
    UnknownModelRefused("lyria-9"),
    UnknownPlan("max-pro-1"),
    UnknownTestClock("clock-1"),
    InvalidSettingsRefused("count", "must be from 1 to 1,000"),
    InsufficientCredits(300, 250, 100, _month(1).ends_at, ("max-pro-40000-monthly", "max-pro-240000-yearly")),
    NotInPlan("music", "ai-starter-7500-monthly", ("ai-starter-16500-monthly",)),
    GenerationIdConflict(CHARGE),
    GenerationHeld(HOLD),
    NotAnUpgrade("ai-starter-16500-monthly"),
    NotADowngrade("max-pro-240000-yearly"),
    UnknownHold("video-2b8e"),
    HoldExpired("video-2b8e"),
    HoldWasReleased("video-2b8e"),
    HoldsOutstanding(1_200, 800),
    VersionMismatch(4),
)
_BY_KIND = {type(refusal): refusal for refusal in _REFUSALS}


def page_of(example: T) -> Page[T]:
    """Make a last page with one entry."""
    return Page((example,), None)


def problem_example(kind: type[Refusal]) -> Refusal:
    """Return an example of a kind of refusal."""
    return _BY_KIND.get(kind) or kind()
