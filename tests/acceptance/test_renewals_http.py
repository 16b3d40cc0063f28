"""When credits and subscriptions renew, and what an upgrade leaves until then, over HTTP."""

import httpx
import pytest

from services.catalogue import load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from tests.acceptance.server import Customer, Listener, running_server
from tests.conftest import SettableClock


def test_the_renewal_comes_in_local_time_too(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")

    renewal = customer.get("renewal", tz="Europe/Rome")

    assert renewal["credits_renew_at_local"] == "2026-02-15T13:00:00+01:00"
    assert [each["at_local"] for each in renewal["upcoming"][1:3]] == [
        "2026-03-15T13:00:00+01:00",
        "2026-04-15T14:00:00+02:00",  # summer time shows in the display and moves nothing
    ]
    assert [each["at"] for each in renewal["upcoming"][1:3]] == ["2026-03-15T12:00:00Z", "2026-04-15T12:00:00Z"]


def test_a_yearly_plan_has_two_clocks(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-yearly")
    customer.use(1_000)

    renewal = customer.get("renewal")

    assert renewal["credits_renew_at"] == "2026-02-15T12:00:00Z"
    assert renewal["subscription_renews_at"] == "2027-01-15T12:00:00Z"
    assert (renewal["credits_at_renewal"], renewal["lapsing_credits"]) == (40_000, 39_000)
    assert [each["kind"] for each in renewal["upcoming"]] == ["cycle_reset"] * 11 + ["term_renewal"]


def test_nothing_renews_in_the_last_cycle(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")

    customer.post("cancel", when="term_end")

    renewal = customer.get("renewal")
    assert customer.get("balance")["credits_renew_at"] is None
    assert (renewal["credits_renew_at"], renewal["subscription_renews_at"]) == (None, None)
    assert renewal["upcoming"] == [{"at": "2026-02-15T12:00:00Z", "kind": "ends", "credits": 0}]
    assert (renewal["credits_at_renewal"], renewal["lapsing_credits"]) == (0, 40_000)


@pytest.mark.parametrize(
    ("policy", "balances"),
    [("deduct_used", (239_000, 240_000)), ("add_leftover", (279_000, 240_000)), ("fresh", (240_000, 240_000))],
)
def test_what_leftover_means_is_a_policy_that_each_upgrade_records(
    listener: Listener, database_url: str, clock: SettableClock, policy: str, balances: tuple[int, int]
) -> None:
    chosen = packaged().replace('upgrade_policy = "deduct_used"', f'upgrade_policy = "{policy}"')

    with (
        running_server(listener, database_url, load_catalogue(chosen, PACKAGED_SOURCE), clock) as server,
        server.client() as http,
    ):
        customer = Customer.with_plan(http, "ai-suite-40000-monthly")
        customer.use(1_000)
        preview = customer.get("upgrade-preview", plan_id="max-pro-240000-monthly")
        customer.post("upgrade", plan_id="max-pro-240000-monthly")
        first = customer.get("balance")
        clock.advance(days=31)
        second = customer.get("balance")
        (upgraded,) = customer.get("events", type="PlanUpgraded")["data"]

    assert (first["balance_credits"], second["balance_credits"]) == balances
    assert first["carried_credits"] == (39_000 if policy == "add_leftover" else 0)
    assert preview["policy"] == upgraded["data"]["policy"] == policy
    assert preview["balance_after"] == first["balance_credits"]
    assert preview["lapsing_credits"] == (39_000 if policy == "fresh" else 0)
