"""What time alone brings: credits anew each month, the term anew each month or year, and nothing rolls over."""

from datetime import timedelta
from itertools import islice

import pytest

from services.catalogue import Money
from services.subscription.boundaries import as_of, boundaries, due_events
from services.subscription.commands import ChargeGeneration, RecordDue
from services.subscription.decide import decide
from services.subscription.events import CycleReset, SubscriptionStarted, TermRenewed
from services.subscription.state import Subscription
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.history import History
from tests.unit.subscription.scenario import instant, play


def state_of(history: History) -> Subscription:
    assert history.state is not None
    return history.state


def test_r3_the_balance_refreshes_at_the_start_of_each_cycle() -> None:
    play("""
        2024-01-31 10:00           | start ai-suite-40000-monthly | balance 40,000
        2024-02-05                 | charge 1,000                 | balance 39,000  renews 2024-02-29 10:00
        2024-02-29 09:59:59.999999 |                              | balance 39,000  cycle 1
        2024-02-29 10:00           |                              | balance 40,000  cycle 2  renews 2024-03-31 10:00
    """)


def test_r8_unused_credits_lapse() -> None:
    history = play("""
        2024-01-31 10:00 | start ai-suite-40000-yearly | balance 40,000
        2024-02-05       | charge 1,000                | balance 39,000
        2024-03-01       | record                      | answered unchanged  recorded CycleReset  version 4
                         |                             | balance 40,000  used 0
    """)

    reset = history.last(CycleReset)
    assert (reset.lapsed_credits, reset.granted_credits, reset.cycle.number) == (39_000, 40_000, 2)


def test_r9_the_renewal_instant_is_exact() -> None:
    play("""
        2024-01-31 10:00:00.000001 | start ai-suite-40000-monthly | renews 2024-02-29 10:00:00.000001
        2024-03-10                 |                              | renews 2024-03-31 10:00:00.000001
        2024-04-10                 |                              | renews 2024-04-30 10:00:00.000001
        2024-05-10                 |                              | renews 2024-05-31 10:00:00.000001
    """)


def test_on_a_monthly_plan_cycle_and_term_coincide() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly | version 2
        2024-02-29 | record                       | answered unchanged  recorded CycleReset TermRenewed  version 4
                   |                              | cycle 2  cycle_ends 2024-03-31  term 2  term_ends 2024-03-31
    """)


def test_on_a_yearly_plan_the_twelfth_reset_renews_the_term() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-yearly | cycle 1   term 1  term_ends 2025-01-31
        2024-12-31 |                             | cycle 12  term 1  term_ends 2025-01-31  cycle_ends 2025-01-31
        2025-01-30 | record                      | answered unchanged  version 13
        2025-01-31 | record                      | answered unchanged  recorded CycleReset TermRenewed
                   |                             | cycle 13  term 2  term_ends 2026-01-31  renews 2025-02-28
    """)


def test_every_missed_cycle_is_recorded_before_the_command() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-yearly | balance 40,000
                   | charge 1                    | balance 39,999
        2024-05-05 | charge 7                    | recorded CycleReset CycleReset CycleReset GenerationCharged
                   |                             | balance 39,993  cycle 4  version 7
    """)

    resets = [event for _, event in history.recorded if isinstance(event, CycleReset)]
    assert [reset.lapsed_credits for reset in resets] == [39_999, 40_000, 40_000]
    assert [reset.cycle.number for reset in resets] == [2, 3, 4]
    assert [reset.cycle.starts_at for reset in resets] == [
        instant("2024-02-29"),
        instant("2024-03-31"),
        instant("2024-04-30"),
    ]


def test_the_price_is_recorded_with_each_term_that_it_is_due_for() -> None:
    history = play("""
        2024-01-31 | start odd-smaller-yearly         | term 1
        2025-02-01 | record                           | answered unchanged  term 2
        2025-02-02 | downgrade ai-suite-40000-monthly | answered done
        2026-02-01 | record                           | answered unchanged  plan ai-suite-40000-monthly
    """)

    plans = [event.plan for _, event in history.recorded if isinstance(event, SubscriptionStarted | TermRenewed)]
    assert [plan.price for plan in plans] == [Money("90.50", "EUR"), Money("90.50", "EUR"), None]


def test_recording_late_or_in_time_comes_to_the_same() -> None:
    late, in_time = (play("2024-01-31 10:00 | start ai-suite-40000-yearly | version 2") for _ in range(2))
    now = instant("2026-03-05 07:00")

    for boundary in islice(boundaries(state_of(in_time)), 25):
        in_time.apply(RecordDue(), boundary.at)
    late.apply(RecordDue(), now)

    assert [event for _, event in late.recorded] == [event for _, event in in_time.recorded]
    assert late.state == in_time.state


def test_a_read_shows_what_is_due_and_records_nothing() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | charge 40,000                | balance 0
        2034-03-10 |                              | balance 40,000  cycle 122  renews 2034-03-31
    """)

    assert len(history.recorded) == 3


def test_a_decision_before_what_is_due_was_recorded_is_a_defect() -> None:
    state = state_of(play("2024-01-31 | start ai-suite-40000-monthly | cycle_ends 2024-02-29"))

    with pytest.raises(AssertionError, match="what is due is recorded"):
        decide(state, ChargeGeneration("song", "lyria-3"), instant("2024-02-29"), odd_catalogue())


def test_boundaries_are_the_future_of_a_subscription_that_is_left_alone() -> None:
    history = play("""
        2024-11-30 | start ai-suite-40000-yearly    | balance 40,000
        2025-01-01 | charge 1,000                   | balance 39,000
                   | downgrade odd-smaller-monthly  | refused not_a_downgrade
                   | downgrade odd-single-monthly   | scheduled downgrade odd-single-monthly at 2025-11-30
    """)

    coming = list(islice(boundaries(state_of(history)), 13))
    assert [(boundary.at.date().isoformat(), boundary.state.balance_credits) for boundary in coming] == [
        ("2025-01-30", 40_000),
        ("2025-02-28", 40_000),
        ("2025-03-30", 40_000),
        ("2025-04-30", 40_000),
        ("2025-05-30", 40_000),
        ("2025-06-30", 40_000),
        ("2025-07-30", 40_000),
        ("2025-08-30", 40_000),
        ("2025-09-30", 40_000),
        ("2025-10-30", 40_000),
        ("2025-11-30", 1),
        ("2025-12-30", 1),
        ("2026-01-30", 1),
    ]
    assert [type(event).__name__ for event in coming[10].events] == ["CycleReset", "TermRenewed"]


def test_boundaries_up_to_an_instant_include_the_one_at_it() -> None:
    state = state_of(play("2024-01-31 | start ai-suite-40000-monthly | cycle_ends 2024-02-29"))
    end = instant("2024-03-31")

    assert [boundary.at for boundary in boundaries(state, end)] == [instant("2024-02-29"), end]
    assert len(list(boundaries(state, end - timedelta(microseconds=1)))) == 1
    assert due_events(state, instant("2024-02-28")) == []
    assert as_of(state, instant("2024-02-28")) is state


def test_the_calendar_ends_with_the_year_9999() -> None:
    history = play("""
        9999-09-30 10:00 | start ai-suite-40000-monthly  | renews 9999-10-30 10:00
        9999-10-31       | charge 1,000                  | balance 39,000
        9999-12-01       |                               | balance 40,000  cycle_ends 9999-12-30 10:00
        9999-12-30 10:00 | record                        | answered unchanged  cycle_ends 9999-12-31  cycle 4
                         |                               | term_ends 9999-12-31  status active  renews never
                         | charge 500                    | balance 39,500
                         | upgrade max-pro-240000-yearly | balance 239,500  term_ends 9999-12-31  renews never
                         | downgrade odd-single-monthly  | scheduled downgrade odd-single-monthly at 9999-12-31
        9999-12-31       | record                        | answered unchanged  balance 239,500  cycle 5
                         | cancel                        | status cancelling  renews never
                         | cancel now                    | status ended  balance 0
    """)

    assert list(boundaries(state_of(history))) == []


def test_a_yearly_term_that_the_calendar_cuts_short_still_resets_each_month() -> None:
    history = play("""
        9999-06-15 | start ai-suite-40000-yearly | term_ends 9999-12-31  cycle_ends 9999-07-15
        9999-12-14 |                             | cycle 6  renews 9999-12-15
        9999-12-15 |                             | cycle 7  renews never
    """)

    assert len(list(boundaries(state_of(history)))) == 6
