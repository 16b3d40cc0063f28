"""Alerts: the charge that leaves a threshold's part of the credits, or less, says so, once a threshold and cycle."""

from collections import Counter
from random import Random

import pytest
from msgspec.structs import replace

from services.catalogue import Catalogue, Settings
from services.catalogue.alerts import thresholds_of
from services.subscription.commands import ChangeAlerts, ChargeGeneration, RecordDue, StartSubscription, UpgradePlan
from services.subscription.events import AlertCrossed, GenerationCharged
from services.subscription.state import evolve
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.history import History
from tests.unit.subscription.scenario import instant, play


def crossed(history: History) -> list[tuple[int, str, int]]:
    """Each alert with the cycle and the balance of its charge, in order."""
    charges = [event for _, event in history.recorded if isinstance(event, GenerationCharged)]
    return [(each.cycle_number, alert.threshold, each.balance_after) for each in charges for alert in each.alerts]


def catalogue_with(*alerts: str, of_plan: tuple[str, ...] | None = None) -> Catalogue:
    """The odd catalogue with these alerts; `of_plan` are those of the plan of 10,000."""
    odd = odd_catalogue()
    plans = [replace(each, alerts=of_plan if each.plan_id == "odd-smaller-monthly" else None) for each in odd.plans]
    return Catalogue(plans, odd.rate_cards, odd.upgrade_policy, alerts)


def test_a_charge_to_exactly_a_threshold_crosses_it() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | charge 31,999                | balance 8,001
                   | charge 1                     | balance 8,000
                   | charge 7,999                 | balance 1
                   | charge 1                     | balance 0
    """)
    assert crossed(history) == [(1, "0.20", 8_000), (1, "0.00", 0)]
    at = instant("2024-01-31")
    assert history.state is not None
    assert history.state.crossed_alerts == (
        AlertCrossed("0.20", 8_000, 40_000, at),
        AlertCrossed("0.00", 0, 40_000, at),
    )


def test_one_charge_may_cross_several_the_highest_first() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | charge 40,000                | balance 0
    """)
    assert crossed(history) == [(1, "0.20", 0), (1, "0.00", 0)]


def test_a_threshold_is_crossed_once_a_cycle_whatever_is_given_back() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | charge 35,000 as first       | balance 5,000
                   | reverse first                | balance 40,000
                   | charge 35,000                | balance 5,000
        2024-03-01 | charge 33,000                | balance 7,000
    """)
    assert crossed(history) == [(1, "0.20", 5_000), (2, "0.20", 7_000)]


def test_an_upgrade_begins_a_cycle_in_which_nothing_was_crossed() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
                   | charge 39,000                  | balance 1,000
                   | upgrade max-pro-40000-monthly  | balance 1,000
                   | charge 1                       | balance 999
                   | charge 1                       | balance 998
    """)
    assert crossed(history) == [(1, "0.20", 1_000), (2, "0.20", 999)]


def test_a_reset_forgets_what_was_crossed() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | charge 40,000                | balance 0
    """)
    history.apply(RecordDue(), instant("2024-03-01"))
    assert history.state is not None
    assert history.state.crossed_alerts == ()


@pytest.mark.parametrize(
    ("alerts", "of_plan", "expected"),
    [
        (("0.5",), None, [(1, "0.5", 5_000)]),
        (("0.5",), ("0.1", "0.3"), [(1, "0.3", 3_000), (1, "0.1", 1_000)]),
        (("0.5",), (), []),
        ((), None, []),
        (("1.0",), None, [(1, "1.0", 9_000)]),
        (("0.9999", "0.0001"), None, [(1, "0.9999", 9_000), (1, "0.0001", 1)]),
    ],
)
def test_thresholds_are_those_of_the_plan_or_else_the_catalogues(
    alerts: tuple[str, ...], of_plan: tuple[str, ...] | None, expected: list[tuple[int, str, int]]
) -> None:
    history = play(
        """
        2024-01-31 | start odd-smaller-monthly | balance 10,000
                   | charge 1,000              | balance 9,000
                   | charge 4,000              | balance 5,000
                   | charge 2,000              | balance 3,000
                   | charge 2,000              | balance 1,000
                   | charge 999                | balance 1
        """,
        catalogue_with(*alerts, of_plan=of_plan),
    )
    assert crossed(history) == expected


@pytest.mark.parametrize("seed", range(50))
def test_at_random_every_crossing_is_told_once(seed: int) -> None:
    """Against a plain rule: a charge tells each threshold at or above what it leaves, that its cycle has not told."""
    random, history = Random(seed), History(odd_catalogue())
    at = instant("2024-01-31")
    history.apply(StartSubscription("account-1", "odd-smaller-monthly"), at)
    for number in range(200):
        at += (at - instant("2024-01-30")) * random.choice([0, 0, 0, 0, 0.002])
        balance = history.state.balance_credits if history.state else 0
        match random.randrange(12):
            case 0 if history.charges:
                generation = random.choice(list(history.charges))
                history.apply(history.reversal_of(generation, "current_cycle"), at)
            case 1 if number > 150:
                history.apply(UpgradePlan("odd-top-monthly"), at)
            case _:
                spent = max(1, random.choice([balance // 3, balance, random.randrange(1, 2_000)]))
                history.apply(ChargeGeneration(f"g-{number}", "music", Settings(characters=spent)), at)
    assert crossed(history) == expected_of(history)
    assert crossed(history)


def expected_of(history: History) -> list[tuple[int, str, int]]:
    expected: list[tuple[int, str, int]] = []
    told: Counter[tuple[int, str]] = Counter()
    state = None
    for _, event in history.recorded:
        state = evolve(state, event)
        if isinstance(event, GenerationCharged):
            for each in thresholds_of(("0.20", "0.00")):
                place = state.cycle.number, each.text
                if state.balance_credits * 100 <= int(each.text[2:]) * state.granted_credits and not told[place]:
                    told[place] += 1
                    expected.append((*place, event.balance_after))
    return expected


def test_a_subscription_may_have_thresholds_of_its_own() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | alerts 0.50 0.10             | recorded AlertsChanged  version 3
                   | charge 20,000                | balance 20,000
                   | charge 12,000                | balance 8,000
                   | alerts catalogue             | recorded AlertsChanged
                   | charge 1                     | balance 7,999
                   | alerts                       | recorded AlertsChanged
        2024-03-01 | charge 40,000                | balance 0
    """)
    assert crossed(history) == [(1, "0.50", 20_000), (1, "0.20", 7_999)]
    assert history.apply(ChangeAlerts(()), instant("2024-03-01")).code == "unchanged"
