"""What-if: each history is played, replayed with one change, and compared with what was recorded."""

from datetime import datetime
from decimal import Decimal

import pytest

from services.catalogue import Catalogue, Settings
from services.subscription.boundaries import as_of
from services.subscription.commands import ChargeGeneration
from services.subscription.events import ChargeReversed, CycleReset, GenerationCharged, PlanUpgraded
from services.subscription.outcomes import ChargeRefused, ChargeRepeated
from services.subscription.what_if import Changes, InsertedCharge, ReplayDifference
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.history import History
from tests.unit.subscription.replaying import events_of, refusals_of, replay
from tests.unit.subscription.scenario import instant, play

# 10,000 credits; a film of 9,000 leaves too few for the song of 2,000, and enough for the jingle.
SPENT = """
    2024-01-31 | start odd-smaller-monthly   | balance 10,000
    2024-02-01 | charge 9,000 video as film  | balance 1,000
    2024-02-02 | charge 2,000 as song        | refused insufficient_credits
    2024-02-03 | charge 500 as jingle        | balance 500  version 4
"""


def lines(differences: list[ReplayDifference]) -> list[str]:
    """Write each difference as a line: version, generation, recorded and replayed outcome."""
    return [
        f"{each.version} {each.generation_id}: {_word(each.actual)} -> {_word(each.replayed)}" for each in differences
    ]


def _word(outcome: object) -> str:
    match outcome:
        case None:
            return "nothing"
        case ChargeRefused():
            return f"{outcome.code} on {outcome.balance_credits:,}"
        case ChargeRepeated():
            return "charged before"
        case GenerationCharged() | ChargeReversed():
            return f"{outcome.credits:,} leaving {outcome.balance_after:,}"
        case _:
            return type(outcome).__name__


def inserted(at: str, cost: int, generation_id: str = "more", model: str = "music") -> InsertedCharge:
    return InsertedCharge(instant(at), ChargeGeneration(generation_id, model, Settings(characters=cost)))


def test_without_a_change_nothing_differs() -> None:
    replayed = replay(play(SPENT), Changes())

    assert replayed.differences == []
    assert replayed.replayed == replayed.actual


def test_without_a_charge_what_it_kept_out_is_charged() -> None:
    replayed = replay(play(SPENT), Changes(without_generations=frozenset({"film"})))

    assert lines(replayed.differences) == [
        "3 film: 9,000 leaving 1,000 -> nothing",
        "3 song: insufficient_credits on 1,000 -> 2,000 leaving 8,000",
    ]
    assert replayed.actual.balance_credits == 500
    assert replayed.replayed.balance_credits == 7_500


def test_an_inserted_charge_keeps_out_what_came_after_it() -> None:
    replayed = replay(play(SPENT), Changes(insert_charges=(inserted("2024-02-01 12:00", 600),)))

    assert lines(replayed.differences) == [
        "3 more: nothing -> 600 leaving 400",
        "4 jingle: 500 leaving 500 -> insufficient_credits on 400",
    ]
    assert replayed.replayed.balance_credits == 400


def test_an_inserted_charge_may_take_the_place_of_one_that_is_left_out() -> None:
    changes = Changes(
        without_generations=frozenset({"film"}), insert_charges=(inserted("2024-02-01", 5_000, generation_id="film"),)
    )

    replayed = replay(play(SPENT), changes)

    assert lines(replayed.differences)[:2] == [
        "3 film: 9,000 leaving 1,000 -> nothing",
        "3 film: nothing -> 5,000 leaving 5,000",
    ]
    assert replayed.replayed.balance_credits == 2_500


def test_an_inserted_charge_comes_after_what_was_recorded_at_its_instant() -> None:
    replayed = replay(play(SPENT), Changes(insert_charges=(inserted("2024-02-03", 501),)))

    assert lines(replayed.differences) == ["4 more: nothing -> insufficient_credits on 500"]


def test_an_inserted_charge_of_a_generation_that_was_charged_later_takes_its_place() -> None:
    replayed = replay(play(SPENT), Changes(insert_charges=(inserted("2024-02-01", 500, "jingle"),)))

    assert lines(replayed.differences) == [
        "3 jingle: nothing -> 500 leaving 500",
        "4 jingle: 500 leaving 500 -> charged before",
    ]
    assert replayed.replayed.balance_credits == replayed.actual.balance_credits


def test_inserted_charges_of_one_instant_come_in_their_order() -> None:
    both = (inserted("2024-02-05", 400, "first"), inserted("2024-02-05", 200, "second"))

    assert lines(replay(play(SPENT), Changes(insert_charges=both), until=instant("2024-02-06")).differences) == [
        "4 first: nothing -> 400 leaving 100",
        "4 second: nothing -> insufficient_credits on 100",
    ]


def test_an_inserted_charge_before_the_start_is_refused() -> None:
    replayed = replay(play(SPENT), Changes(insert_charges=(inserted("2024-01-30", 1),)))

    assert lines(replayed.differences) == ["0 more: nothing -> unknown_subscription on 0"]


def test_a_refusal_that_would_have_been_charged_makes_the_later_charge_a_repetition() -> None:
    history = play("""
        2024-01-31 | start odd-smaller-monthly  | balance 10,000
        2024-02-01 | charge 9,000 as film       | balance 1,000
                   | charge 2,000 as song       | refused insufficient_credits
        2024-02-29 | charge 2,000 as song       | balance 8,000
    """)

    assert lines(replay(history, Changes(without_generations=frozenset({"film"}))).differences) == [
        "3 film: 9,000 leaving 1,000 -> nothing",
        "3 song: insufficient_credits on 1,000 -> 2,000 leaving 8,000",
        "4 None: CycleReset -> CycleReset",
        "6 song: 2,000 leaving 8,000 -> charged before",
    ]


def test_a_model_at_another_price_is_charged_it_by_the_unit() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly       | balance 40,000
                   | generate lyria-3 as one            | balance 39,850
                   | generate lyria-3 count=3 as three  | balance 39,400
                   | generate lyria-3-pro as other      | balance 39,100
    """)
    replayed = replay(history, Changes(reprice={"lyria-3": Decimal("100.5")}))

    assert lines(replayed.differences) == [
        "3 one: 150 leaving 39,850 -> 101 leaving 39,899",
        "4 three: 450 leaving 39,400 -> 302 leaving 39,597",
    ]
    charged = replayed.differences[1].replayed
    assert isinstance(charged, GenerationCharged)
    assert (charged.price.quantity, charged.price.credits_per_unit) == (Decimal(3), Decimal("100.5"))


def test_a_model_at_the_price_that_it_had_changes_nothing() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly       | balance 40,000
                   | generate lyria-3 count=3 as three  | balance 39,550
    """)

    assert replay(history, Changes(reprice={"lyria-3": Decimal(150), "unheard-of": Decimal(1)})).differences == []


def test_a_refusal_is_priced_anew_too() -> None:
    history = play("""
        2024-01-31 | start odd-smaller-monthly  | balance 10,000
                   | charge 9,900 as film       | balance 100
                   | generate lyria-3 as track  | refused insufficient_credits
    """)

    assert lines(replay(history, Changes(reprice={"lyria-3": Decimal(100)})).differences) == [
        "3 track: insufficient_credits on 100 -> 100 leaving 0"
    ]


def test_another_upgrade_policy_leaves_other_credits() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly   | balance 40,000
        2024-02-05 | charge 1,000                   | balance 39,000
        2024-02-06 | upgrade max-pro-240000-monthly | balance 239,000
        2024-03-06 | record                         | answered unchanged  balance 240,000
    """)
    replayed = replay(history, Changes(upgrade_policy="add_leftover"), until=instant("2024-02-07"))

    assert replayed.replayed.balance_credits == 279_000
    (upgrade,) = replayed.differences
    assert isinstance(upgrade.replayed, PlanUpgraded)
    assert (upgrade.replayed.policy, upgrade.replayed.carried_credits) == ("add_leftover", 39_000)
    assert lines(replay(history, Changes(upgrade_policy="add_leftover")).differences) == [
        "4 None: PlanUpgraded -> PlanUpgraded",
        "5 None: CycleReset -> CycleReset",
    ]


def test_a_reversal_gives_back_what_was_charged_then() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | generate lyria-3 as track    | balance 39,850
                   | reverse track                | balance 40,000
    """)

    assert lines(replay(history, Changes(reprice={"lyria-3": Decimal(10)})).differences) == [
        "3 track: 150 leaving 39,850 -> 10 leaving 39,990",
        "4 track: 150 leaving 40,000 -> 10 leaving 40,000",
    ]
    assert lines(replay(history, Changes(without_generations=frozenset({"track"}))).differences) == [
        "3 track: 150 leaving 39,850 -> nothing",
        "4 track: 150 leaving 40,000 -> nothing",
    ]


def test_what_lapses_differs_although_it_was_recorded_later_than_an_inserted_charge() -> None:
    history = play("""
        2024-01-31 | start odd-smaller-monthly | balance 10,000
        2024-03-15 | charge 1 as late          | balance 9,999
    """)
    replayed = replay(history, Changes(insert_charges=(inserted("2024-02-29", 10), inserted("2024-02-01", 5, "early"))))

    assert lines(replayed.differences) == [
        "2 early: nothing -> 5 leaving 9,995",
        "2 more: nothing -> 10 leaving 9,990",
        "3 None: CycleReset -> CycleReset",
    ]
    reset = replayed.differences[-1].replayed
    assert isinstance(reset, CycleReset)
    assert reset.lapsed_credits == 9_995


def test_several_changes_hold_together() -> None:
    changes = Changes(
        without_generations=frozenset({"film"}),
        reprice={"music": Decimal(4_000)},
        insert_charges=(inserted("2024-02-02 12:00", 1_500, "voice", "voiceover"),),
    )

    assert lines(replay(play(SPENT), changes).differences) == [
        "3 film: 9,000 leaving 1,000 -> nothing",
        "3 song: insufficient_credits on 1,000 -> 8,000 leaving 2,000",
        "3 voice: nothing -> 1,500 leaving 500",
        "4 jingle: 500 leaving 500 -> insufficient_credits on 500",
    ]


def test_the_end_cuts_history_changes_and_what_is_due() -> None:
    history = play(SPENT + "2024-03-15 | charge 1 as late | balance 9,999")
    changes = Changes(insert_charges=(inserted("2024-02-01", 100), inserted("2024-02-05", 7, "beyond")))
    replayed = replay(history, changes, until=instant("2024-02-03"))

    assert (replayed.actual.balance_credits, replayed.replayed.balance_credits) == (500, 400)
    assert (replayed.actual.version, replayed.replayed.version) == (4, 5)
    later = replay(history, changes, until=instant("2024-03-01"))
    assert as_of(later.actual, instant("2024-03-01")).balance_credits == 10_000
    assert lines(later.differences)[-1] == "5 None: CycleReset -> CycleReset"


def test_a_later_catalogue_does_not_change_what_happened() -> None:
    history = play("""
        2024-01-31 | start odd-smaller-monthly        | balance 10,000
                   | charge 9,900 as film             | balance 100
                   | charge 300 as song               | refused insufficient_credits
                   | generate lyria-3 as track        | refused insufficient_credits
                   | generate withdrawn as picture    | balance 80
        2024-02-02 | upgrade odd-leftover-monthly     | balance 300,080
                   | downgrade odd-smaller-yearly     |
        2024-03-02 | charge 1 image                   | balance 9,999  plan odd-smaller-yearly
    """)
    history.catalogue = Catalogue([], [])

    assert replay(history, Changes()).differences == []
    replayed = replay(history, Changes(without_generations=frozenset({"film"})))
    assert lines(replayed.differences)[:2] == [
        "3 film: 9,900 leaving 100 -> nothing",
        "3 song: insufficient_credits on 100 -> 300 leaving 9,700",
    ]
    assert "track" not in {each.generation_id for each in replayed.differences}, "its replayed outcome is unknown"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("2024-02-01 | generate withdrawn as picture | refused not_in_plan", "not_in_plan"),
        ("2024-02-01 | cancel now |\n| charge 1 as late | refused subscription_ended", "subscription_ended"),
    ],
)
def test_a_refusal_that_has_nothing_to_do_with_credits_stays(given: str, code: str) -> None:
    history = play("2024-01-31 | start ai-starter-7500-monthly |\n| charge 7,000 voiceover as talk |\n" + given)

    replayed = replay(history, Changes(without_generations=frozenset({"talk"})))

    assert [each.code for each in refusals_of(history)] == [code]
    assert {each.generation_id for each in replayed.differences} <= {"talk", None}


def test_an_immediate_cancellation_lapses_other_credits() -> None:
    history = play(SPENT + "2024-02-04 | cancel now | balance 0")

    assert lines(replay(history, Changes(without_generations=frozenset({"jingle"}))).differences) == [
        "4 jingle: 500 leaving 500 -> nothing",
        "6 None: SubscriptionEnded -> SubscriptionEnded",
    ]


def test_the_history_itself_is_left_alone() -> None:
    history: History = play(SPENT)
    before = events_of(history)

    replay(history, Changes(without_generations=frozenset({"film", "jingle"})))

    assert events_of(history) == before
    assert datetime.fromisoformat("2024-02-03T00:00:00Z") == before[-1].at
    assert history.catalogue is odd_catalogue()
