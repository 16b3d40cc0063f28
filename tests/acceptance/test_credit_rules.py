"""The credit rules R1 to R14, each through the API, as a customer would check it."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.catalogue import Catalogue, load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from tests.acceptance.server import Customer, Listener, running_server
from tests.conftest import SettableClock

NOON_15_JANUARY = "2026-01-15T12:00:00Z"
NOON_15_FEBRUARY = "2026-02-15T12:00:00Z"
ALL_TYPES = {"voiceover", "image", "video", "music"}


def subscribe(http: httpx.Client, plan_id: str) -> Customer:
    return Customer.with_plan(http, plan_id)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# R1 A plan grants a fixed number of credits per month, one pool for image, video, voiceover and music.


def test_r1_one_pool_pays_for_every_asset_type(http: httpx.Client) -> None:
    customer = subscribe(http, "ai-starter-16500-monthly")

    spent = [
        customer.charge("example-image-1")["credits"],
        customer.charge("example-video-1", duration_seconds=8)["credits"],
        customer.charge("example-voice-1", characters=2_000)["credits"],
        customer.charge("lyria-3")["credits"],
    ]

    assert spent == [20, 100, 60, 150]
    assert customer.balance == 16_500 - 330


@pytest.mark.parametrize("period", ["monthly", "yearly"])
@pytest.mark.parametrize(
    ("package", "monthly_credits"),
    [
        ("ai-starter-7500", 7_500),
        ("ai-starter-16500", 16_500),
        ("ai-suite-40000", 40_000),
        ("max-pro-40000", 40_000),
        ("max-pro-240000", 240_000),
    ],
)
def test_r1_each_month_grants_the_allowance_of_the_plan(
    http: httpx.Client, clock: SettableClock, package: str, monthly_credits: int, period: str
) -> None:
    customer = subscribe(http, f"{package}-{period}")

    granted = []
    for _ in range(3):
        granted.append(customer.balance)
        clock.advance(days=31)

    assert granted == [monthly_credits] * 3


# R2 A generation is charged automatically, by the settings used. Lyria 3 costs 150 a track, Lyria 3 Pro 300.


@pytest.mark.parametrize(
    ("model", "settings", "charged_credits"),
    [
        ("lyria-3", {}, 150),
        ("lyria-3", {"count": 4}, 600),
        ("lyria-3", {"duration_seconds": 184.25}, 150),
        ("lyria-3-pro", {}, 300),
        ("example-video-1", {"duration_seconds": 8.1}, 102),
        ("example-image-1", {"resolution": "2048x2048", "count": 2}, 120),
        ("example-voice-1", {"characters": 1}, 1),
    ],
)
def test_r2_the_settings_make_the_price(
    http: httpx.Client, model: str, settings: dict[str, object], charged_credits: int
) -> None:
    customer = subscribe(http, "max-pro-40000-monthly")
    quoted = http.post("/v1/quotes", json={"model": model, "settings": settings}).json()

    charge = customer.charge(model, **settings)

    assert charge["credits"] == charged_credits
    assert quoted == {"credits": charge["credits"], "price": charge["price"]}
    assert customer.balance == 40_000 - charged_credits


def test_r2_the_price_of_a_track_can_vary_with_its_duration(
    listener: Listener, database_url: str, clock: SettableClock
) -> None:
    flat = 'model = "lyria-3"\nasset_type = "music"\nrule = "per_track"\ncredits = 150'
    banded = flat.replace("credits = 150", "bands = [{ up_to_seconds = 180, credits = 150 }, { credits = 300 }]")
    by_duration: Catalogue = load_catalogue(packaged().replace(flat, banded), PACKAGED_SOURCE)

    with running_server(listener, database_url, by_duration, clock) as server, server.client() as http:
        customer = subscribe(http, "ai-starter-16500-monthly")
        prices = [customer.charge("lyria-3", duration_seconds=seconds)["credits"] for seconds in (180, 180.001)]
        without = customer.try_charge("lyria-3")

    assert prices == [150, 300]
    assert code_of(without) == (422, "invalid_settings")
    assert without.json()["key"] == "duration_seconds"


# R3 The balance can be read at any time; it refreshes at the start of each monthly credit cycle.


def test_r3_the_balance_after_a_charge_includes_it(http: httpx.Client) -> None:
    customer = subscribe(http, "ai-starter-16500-monthly")

    for charged in range(1, 4):
        customer.charge("lyria-3")
        assert customer.balance == 16_500 - 150 * charged


def test_r3_the_balance_refreshes_at_the_instant_and_not_a_microsecond_before(
    http: httpx.Client, clock: SettableClock
) -> None:
    customer = subscribe(http, "ai-starter-16500-monthly")
    customer.charge("lyria-3")

    clock.now = datetime(2026, 2, 15, 11, 59, 59, 999_999, tzinfo=UTC)
    before = customer.get("balance")
    clock.advance(microseconds=1)
    after = customer.get("balance")

    assert (before["balance_credits"], before["cycle"]["number"]) == (16_350, 1)
    assert (after["balance_credits"], after["cycle"]["number"]) == (16_500, 2)
    assert before["position"] == after["position"]  # shown before it is recorded


# R4 There is no one-off purchase of credits. More credits come only from moving to a higher plan.


def test_r4_nothing_in_the_api_sells_credits(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    writing = {path for path, methods in paths.items() if "post" in methods and not path.startswith("/v1/webhooks")}

    # Of all that can be done to a subscription, starting and upgrading alone bring credits; a dispute reverses charges.
    assert {path.removeprefix("/v1/subscriptions/{subscription_id}/") for path in writing} <= {
        "/v1/subscriptions",
        "charges",
        *("holds", "holds/{generation_id}/capture", "holds/{generation_id}/release"),
        *("suspend", "reinstate"),
        "upgrade",
        "downgrade",
        "cancel",
        *("resume", "alerts"),
        "what-if",
        "/v1/quotes",
        "/v1/charges/batch",
        "/v1/disputes",
        "/v1/disputes/{dispute_id}/resolve",
        "/v1/test-clocks",
        "/v1/test-clocks/{test_clock_id}/advance",
    }


# R5 A plan's credits are the total a month: moving from 40,000 to 240,000 gives 240,000 a month, not 280,000.


def test_r5_the_new_plan_is_the_total(http: httpx.Client, clock: SettableClock) -> None:
    customer = subscribe(http, "max-pro-40000-monthly")

    customer.post("upgrade", plan_id="max-pro-240000-monthly")

    assert customer.balance == 240_000
    clock.advance(days=31)
    assert customer.balance == 240_000


# R6 On an upgrade, credits used in the current cycle are deducted from the new total.


@pytest.mark.parametrize("period", ["monthly", "yearly"])
def test_r6_used_credits_are_deducted_from_the_new_total(http: httpx.Client, period: str) -> None:
    customer = subscribe(http, "ai-suite-40000-monthly")
    customer.use(1_000)
    preview = customer.get("upgrade-preview", plan_id=f"max-pro-240000-{period}")

    customer.post("upgrade", plan_id=f"max-pro-240000-{period}")

    balance = customer.get("balance")
    assert (balance["granted_credits"], balance["used_credits"], balance["balance_credits"]) == (
        240_000,
        1_000,
        239_000,
    )
    assert (preview["balance_before"], preview["balance_after"], preview["lapsing_credits"]) == (39_000, 239_000, 0)


def test_r6_two_upgrades_in_one_cycle_count_what_was_used_once(http: httpx.Client) -> None:
    customer = subscribe(http, "ai-starter-16500-monthly")
    customer.use(1_000)
    customer.post("upgrade", plan_id="ai-suite-40000-monthly")
    customer.use(2_000)

    customer.post("upgrade", plan_id="max-pro-240000-monthly")

    assert customer.balance == 240_000 - 3_000


# R7 From AI Suite Starter with 40,000 to Max Pro with 40,000: still 40,000 a month.


@pytest.mark.parametrize(("used", "left"), [(0, 40_000), (1_000, 39_000)])
def test_r7_the_same_allowance_stays_the_same_total(http: httpx.Client, used: int, left: int) -> None:
    customer = subscribe(http, "ai-suite-40000-monthly")
    customer.use(used)

    customer.post("upgrade", plan_id="max-pro-40000-monthly")

    assert customer.balance == left


# R8 Leftover credits live on in the first cycle of the new plan only. After that nothing rolls over.


@pytest.mark.parametrize("period", ["monthly", "yearly"])
def test_r8_leftover_credits_live_on_in_the_first_cycle_only(
    http: httpx.Client, clock: SettableClock, period: str
) -> None:
    customer = subscribe(http, "ai-suite-40000-monthly")
    customer.use(1_000)
    leftover = customer.balance
    clock.advance(days=10)
    customer.post("upgrade", plan_id=f"max-pro-240000-{period}")

    first = customer.balance
    clock.now = datetime(2026, 2, 25, 12, tzinfo=UTC)
    second = customer.balance

    assert first == leftover + (240_000 - 40_000)
    assert second == 240_000


def test_r8_unused_credits_lapse_at_each_reset(http: httpx.Client, clock: SettableClock) -> None:
    customer = subscribe(http, "ai-suite-40000-monthly")
    customer.use(1_000)
    clock.advance(days=31)
    customer.use(2_000)
    clock.advance(days=31)
    customer.charge("lyria-3")

    resets = [event["data"]["lapsed_credits"] for event in customer.get("events", type="CycleReset")["data"]]

    assert resets == [39_000, 38_000]
    assert customer.balance == 40_000 - 150


# R9 The credit balance shows the exact date and time at which the credits renew.


def test_r9_the_balance_shows_the_exact_instant_of_renewal(http: httpx.Client, clock: SettableClock) -> None:
    clock.now = datetime(2026, 1, 31, 10, 0, 0, 123_456, tzinfo=UTC)
    customer = subscribe(http, "ai-suite-40000-yearly")

    renews = []
    for _ in range(4):
        renews.append(customer.get("balance")["credits_renew_at"])
        clock.now = datetime.fromisoformat(renews[-1])

    assert renews == [
        "2026-02-28T10:00:00.123456Z",
        "2026-03-31T10:00:00.123456Z",
        "2026-04-30T10:00:00.123456Z",
        "2026-05-31T10:00:00.123456Z",
    ]
    assert customer.get("renewal")["credits_renew_at"] == customer.get("balance")["credits_renew_at"]


# R10 Credits pay only for the asset types that the plan includes.


@pytest.mark.parametrize("model", ["lyria-3", "example-image-1", "example-video-1"])
def test_r10_the_smallest_plan_pays_for_voiceover_only(http: httpx.Client, model: str) -> None:
    customer = subscribe(http, "ai-starter-7500-monthly")
    settings: dict[str, Any] = {"duration_seconds": 5} if model == "example-video-1" else {}

    refused = customer.try_charge(model, **settings)

    assert code_of(refused) == (403, "not_in_plan")
    assert refused.json()["plan_id"] == "ai-starter-7500-monthly"
    assert refused.json()["upgrade_options"][0] == "ai-starter-16500-monthly"
    assert customer.charge("example-voice-1", characters=1_000)["credits"] == 30
    assert customer.balance == 7_470


def test_r10_every_larger_plan_includes_every_asset_type(http: httpx.Client) -> None:
    plans = http.get("/v1/plans").json()["data"]

    included = {plan["plan_id"]: set(plan["asset_types"]) for plan in plans}

    assert included.pop("ai-starter-7500-monthly") == included.pop("ai-starter-7500-yearly") == {"voiceover"}
    assert len(included) == 8
    assert all(asset_types == ALL_TYPES for asset_types in included.values())


# R11 With too few credits left, a generation is refused; only a higher plan (or the next cycle) allows more.


def test_r11_too_few_credits_are_refused_until_the_next_cycle(http: httpx.Client, clock: SettableClock) -> None:
    customer = subscribe(http, "ai-starter-16500-monthly")
    customer.use(16_400)

    refused = customer.try_charge("lyria-3")

    assert code_of(refused) == (402, "insufficient_credits")
    assert (refused.json()["required_credits"], refused.json()["balance_credits"]) == (150, 100)
    assert refused.json()["credits_renew_at"] == NOON_15_FEBRUARY
    assert customer.charge("example-image-1", count=5)["balance_after"] == 0
    clock.advance(days=31)
    assert customer.charge("lyria-3")["balance_after"] == 16_350


def test_r11_only_a_higher_plan_allows_more(http: httpx.Client) -> None:
    customer = subscribe(http, "ai-suite-40000-monthly")
    customer.use(40_000)
    options = customer.try_charge("lyria-3").json()["upgrade_options"]

    same_tier = http.post(f"{customer.path}/upgrade", json={"plan_id": "ai-suite-40000-yearly"})
    customer.post("upgrade", plan_id="max-pro-240000-monthly")

    assert code_of(same_tier) == (409, "not_an_upgrade")
    assert "max-pro-240000-monthly" in options
    assert "ai-suite-40000-yearly" not in options
    assert customer.charge("lyria-3")["balance_after"] == 240_000 - 40_000 - 150


# R12 An upgrade takes effect at once and restarts the subscription.


@pytest.mark.parametrize(
    ("period", "renews_at"), [("monthly", "2026-02-25T12:00:00Z"), ("yearly", "2027-01-25T12:00:00Z")]
)
def test_r12_an_upgrade_restarts_term_and_cycle(
    http: httpx.Client, clock: SettableClock, period: str, renews_at: str
) -> None:
    customer = subscribe(http, "ai-starter-16500-monthly")
    clock.advance(days=10)

    upgraded = customer.post("upgrade", plan_id=f"max-pro-40000-{period}", billing_reference="invoice-1")

    at = "2026-01-25T12:00:00Z"
    assert upgraded["plan"]["plan_id"] == f"max-pro-40000-{period}"
    assert upgraded["started_at"] == NOON_15_JANUARY
    assert upgraded["anchor_at"] == at
    assert upgraded["cycle"] == {"number": 2, "starts_at": at, "ends_at": "2026-02-25T12:00:00Z"}
    assert upgraded["term"] == {"number": 2, "starts_at": at, "ends_at": renews_at}
    assert customer.get() == upgraded
    (event,) = customer.get("events", type="PlanUpgraded")["data"]
    assert event["data"]["billing_reference"] == "invoice-1"


def test_r12_an_upgrade_at_exactly_the_boundary_comes_after_the_reset(http: httpx.Client, clock: SettableClock) -> None:
    customer = subscribe(http, "ai-starter-16500-monthly")
    customer.use(1_000)
    clock.now = datetime(2026, 2, 15, 12, tzinfo=UTC)

    customer.post("upgrade", plan_id="ai-suite-40000-monthly")

    assert customer.balance == 40_000
    assert customer.events()[-3:] == ["CycleReset", "TermRenewed", "PlanUpgraded"]


# R13 A generation is charged whether or not its result is downloaded.


def test_r13_nothing_but_the_generation_decides_the_charge(http: httpx.Client) -> None:
    customer = subscribe(http, "ai-starter-16500-monthly")
    body = {"generation_id": "track-1", "model": "lyria-3", "downloaded": False}

    refused = http.post(f"{customer.path}/charges", json=body)
    del body["downloaded"]
    charged = http.post(f"{customer.path}/charges", json=body)

    assert refused.json()["errors"] == [{"field": "downloaded", "reason": "is not known here"}]
    assert charged.json()["credits"] == 150


# R14 An unsatisfying result is no ground for a refund.


def test_r14_the_same_generation_again_is_a_new_charge(http: httpx.Client) -> None:
    customer = subscribe(http, "ai-starter-16500-monthly")

    customer.charge("lyria-3")
    customer.charge("lyria-3")

    assert customer.balance == 16_500 - 300
    assert {charge["status"] for charge in customer.get("charges")["data"]} == {"charged"}
