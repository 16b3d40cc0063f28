"""Taking a plan: the first cycle, the first term and the first allowance."""

import pytest

from services.catalogue import Money
from services.subscription.commands import (
    CancelSubscription,
    ChangeAlerts,
    ChargeGeneration,
    Command,
    RecordDue,
    ResumeSubscription,
    ReverseCharge,
    ScheduleDowngrade,
    StartSubscription,
    UpgradePlan,
)
from services.subscription.events import CreditsGranted, SubscriptionStarted
from services.subscription.state import evolve
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.history import History
from tests.unit.subscription.scenario import instant, play

NOON = instant("2024-01-31 12:00")


def test_r1_the_allowance_is_there_from_the_first_instant() -> None:
    play("""
        2024-01-31 10:00 | start ai-suite-40000-monthly | balance 40,000 of 40,000  used 0  reversed 0  carried 0
                         |                              | cycle 1  cycle_ends 2024-02-29 10:00
                         |                              | term 1   term_ends 2024-02-29 10:00
                         |                              | anchor 2024-01-31 10:00  renews 2024-02-29 10:00
                         |                              | status active  scheduled nothing  version 2
    """)


def test_a_yearly_plan_has_two_clocks() -> None:
    play("""
        2024-01-31 10:00 | start ai-suite-40000-yearly | balance 40,000  cycle_ends 2024-02-29 10:00
                         |                             | term_ends 2025-01-31 10:00  renews 2024-02-29 10:00
    """)


def test_a_yearly_term_from_a_leap_day_ends_on_the_last_of_february() -> None:
    play("2024-02-29 | start ai-suite-40000-yearly | term_ends 2025-02-28  cycle_ends 2024-03-29")


def test_an_anchor_keeps_its_microseconds() -> None:
    play("""
        2023-12-31 23:59:59.999999 | start ai-suite-40000-yearly | cycle_ends 2024-01-31 23:59:59.999999
                                   |                             | term_ends  2024-12-31 23:59:59.999999
        2024-01-31 23:59:59.999998 |                             | cycle 1
        2024-01-31 23:59:59.999999 |                             | cycle 2
    """)


def test_what_is_recorded() -> None:
    history = play("""
        2024-01-31 10:00 | start odd-smaller-yearly | recorded SubscriptionStarted CreditsGranted
    """)

    started = history.last(SubscriptionStarted)
    assert (started.account_id, started.plan.plan_id) == ("account", "odd-smaller-yearly")
    assert started.plan.price == Money("90.50", "EUR")
    assert history.last(CreditsGranted) == CreditsGranted(10_000, cycle_number=1)


def test_an_unknown_plan_starts_nothing() -> None:
    history = play("2024-01-31 | start no-such-plan | refused unknown_plan")

    assert history.state is None


@pytest.mark.parametrize(
    "between",
    [
        "2024-02-01 |                                | balance 40,000",
        "2024-02-01 | upgrade max-pro-240000-monthly | plan max-pro-240000-monthly",
        "2024-02-01 | cancel now                     | status ended",
        "2030-01-01 |                                | cycle 72",
    ],
    ids=["at once", "after an upgrade", "after the end", "years later"],
)
def test_the_same_again_changes_nothing(between: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
        {between}
                   | record                       | answered unchanged
                   | start ai-suite-40000-monthly | answered unchanged
    """)


@pytest.mark.parametrize(
    "other",
    [
        StartSubscription("account", "ai-suite-40000-yearly"),
        StartSubscription("account", "no-such-plan"),
        StartSubscription("another account", "ai-suite-40000-monthly"),
        StartSubscription("account", "ai-suite-40000-monthly", "clock"),
    ],
    ids=["plan", "unknown plan", "account", "test clock"],
)
def test_something_else_under_the_same_id_is_refused(other: StartSubscription) -> None:
    history = play("2024-01-31 | start ai-suite-40000-monthly | version 2")

    assert history.apply(other, NOON).code == "subscription_exists"
    assert len(history.recorded) == 2


@pytest.mark.parametrize(
    "command",
    [
        ChargeGeneration("generation", "lyria-3"),
        UpgradePlan("max-pro-240000-monthly"),
        ScheduleDowngrade("ai-starter-7500-monthly"),
        CancelSubscription("now"),
        CancelSubscription("term_end"),
        ResumeSubscription(),
        ChangeAlerts(()),
        ReverseCharge("generation", "dispute", "current_cycle", 150, 1),
        RecordDue(),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_can_be_asked_of_what_was_not_started(command: Command) -> None:
    assert History(odd_catalogue()).apply(command, NOON).code == "unknown_subscription"


def test_a_history_begins_with_the_start() -> None:
    with pytest.raises(ValueError, match="not CreditsGranted"):
        evolve(None, CreditsGranted(1, cycle_number=1))
