"""Taking the present terms of one's plan: scheduled for the end of the term, and nothing before it changes."""

from msgspec.structs import replace

from services.catalogue import Catalogue
from services.subscription.commands import ScheduleDowngrade
from services.subscription.events import PlanChangeScheduled
from services.subscription.what_if import Changes
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.history import History
from tests.unit.subscription.replaying import replay
from tests.unit.subscription.scenario import go_on, play


def test_the_terms_of_the_catalogue_are_taken_at_the_end_of_the_term() -> None:
    history = _changed(play("2024-01-31 | start ai-suite-40000-monthly | balance 40,000"))

    go_on(
        history,
        """
        2024-02-05 | adopt ai-suite-40000-monthly | recorded PlanChangeScheduled  balance 40,000 of 40,000
        2024-02-28 |                              | balance 40,000
        2024-02-29 | charge 1                     | balance 49,999 of 50,000  plan ai-suite-40000-monthly
        2024-03-31 |                              | balance 50,000  scheduled nothing
        """,
    )

    assert history.state is not None
    assert history.state.plan.monthly_credits == 50_000


def test_a_yearly_plan_takes_them_at_the_end_of_its_year() -> None:
    history = _changed(play("2024-01-31 | start ai-suite-40000-yearly | balance 40,000"))

    go_on(
        history,
        """
        2024-02-05 | adopt ai-suite-40000-yearly | balance 40,000
        2024-02-29 |                             | balance 40,000 of 40,000
        2024-12-31 |                             | balance 40,000 of 40,000
        2025-01-31 | record                      | balance 50,000 of 50,000
        """,
    )


def test_what_is_scheduled_already_stays() -> None:
    for scheduled in ("cancel", "downgrade ai-starter-16500-monthly"):
        history = _changed(
            play(f"""
                2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                           | {scheduled}                  | recorded {_recorded(scheduled)}
            """)
        )
        go_on(history, "2024-02-05 | adopt ai-suite-40000-monthly | answered unchanged")


def test_who_has_them_or_has_another_plan_gets_nothing() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly     | balance 40,000
        2024-02-05 | adopt ai-suite-40000-monthly     | answered unchanged
                   | adopt max-pro-240000-monthly     | answered unchanged
                   | adopt no-such-plan               | refused unknown_plan
    """)

    go_on(
        _changed(history),
        """
        2024-02-06 | adopt ai-suite-40000-monthly     | recorded PlanChangeScheduled
                   | adopt ai-suite-40000-monthly     | answered unchanged
        2024-03-15 | adopt ai-suite-40000-monthly     | answered unchanged
        """,
    )


def test_newer_terms_replace_those_that_wait() -> None:
    history = _changed(play("2024-01-31 | start ai-suite-40000-monthly | balance 40,000"))
    go_on(history, "2024-02-05 | adopt ai-suite-40000-monthly | recorded PlanChangeScheduled")

    go_on(
        _changed(history, 60_000),
        """
        2024-02-06 | adopt ai-suite-40000-monthly | recorded PlanChangeScheduled
        2024-02-29 |                              | balance 60,000
        """,
    )


def test_a_customer_does_not_take_it_back_but_may_cancel_downgrade_or_upgrade() -> None:
    for then, balance in (
        ("resume | refused nothing_scheduled", "50,000"),
        ("cancel | status cancelling", "0"),
        ("downgrade ai-starter-16500-monthly | recorded PlanChangeScheduled", "16,500"),
        ("upgrade max-pro-240000-monthly | balance 240,000", "240,000"),
    ):
        history = _changed(play("2024-01-31 | start ai-suite-40000-monthly | balance 40,000"))
        go_on(
            history,
            f"""
            2024-02-05 | adopt ai-suite-40000-monthly | balance 40,000
                       | {then}
            2024-03-05 |                              | balance {balance}
            """,
        )


def test_a_replay_without_a_change_makes_no_difference() -> None:
    history = _changed(play("2024-01-31 | start ai-suite-40000-monthly | balance 40,000"))
    go_on(history, "2024-02-05 | adopt ai-suite-40000-monthly | recorded PlanChangeScheduled")
    go_on(history, "2024-03-05 | charge 1 | balance 49,999")

    replayed = replay(history, Changes())

    assert replayed.differences == []
    assert replayed.replayed == history.state
    assert isinstance(history.last(PlanChangeScheduled), PlanChangeScheduled)


def test_a_downgrade_to_its_own_plan_is_refused_all_the_same() -> None:
    history = _changed(play("2024-01-31 | start ai-suite-40000-monthly | balance 40,000"))

    answer = history.apply(ScheduleDowngrade("ai-suite-40000-monthly"), history.recorded[0][0])

    assert answer.code == "not_a_downgrade"


def _changed(history: History, monthly_credits: int = 50_000) -> History:
    """Give the history a catalogue in which the AI Suite grants more."""
    today = odd_catalogue()
    plans = [
        replace(plan, monthly_credits=monthly_credits) if plan.plan_id.startswith("ai-suite") else plan
        for plan in today.plans
    ]
    history.catalogue = Catalogue(plans, today.rate_cards, today.upgrade_policy)
    return history


def _recorded(scheduled: str) -> str:
    return "SubscriptionCancelled" if scheduled == "cancel" else "PlanChangeScheduled"
