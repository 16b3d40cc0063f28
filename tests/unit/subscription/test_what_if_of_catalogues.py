"""What-if under another catalogue, after corrections, and where an upgrade would not have been made."""

from collections.abc import Sequence
from decimal import Decimal
from random import Random

import pytest
from msgspec.structs import replace

from services.catalogue import Catalogue, PerTrack, RateCard
from services.catalogue.rate_card import PricedModel
from services.subscription.boundaries import as_of
from services.subscription.events import CreditsAdjusted
from services.subscription.outcomes import ChargeRefused
from services.subscription.what_if import Changes, Replay
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.replaying import replay
from tests.unit.subscription.scenario import go_on, instant, play
from tests.unit.subscription.simulation import REQUESTS, Simulation, random_history

SONGS = """
    2024-01-31 | start odd-smaller-monthly        | balance 10,000
    2024-02-01 | generate lyria-3 as song         | balance 9,850
               | generate lyria-3 count=2 as songs | balance 9,550
               | charge 9,500 as film             | balance 50
    2024-02-02 | generate lyria-3 as late         | refused insufficient_credits
"""


def cheaper(amount: int, today: Catalogue | None = None) -> Catalogue:
    """The catalogue with another price of `lyria-3` on every card."""
    today = today or odd_catalogue()
    return Catalogue(today.plans, [_repriced(card, amount) for card in today.rate_cards], today.upgrade_policy)


def _repriced(card: RateCard, amount: int) -> RateCard:
    models = [
        replace(model, credits=Decimal(amount)) if isinstance(model, PerTrack) and model.model == "lyria-3" else model
        for model in card.models
    ]
    return replace(card, models=tuple(models))


def test_each_generation_costs_what_the_catalogue_says_of_its_instant() -> None:
    replayed = replay(play(SONGS), Changes(catalogue=cheaper(100)))

    assert replayed.replayed.balance_credits - replayed.actual.balance_credits == 50 + 100 - 100
    turned = next(each for each in replayed.differences if each.generation_id == "late")
    assert isinstance(turned.actual, ChargeRefused)
    assert not isinstance(turned.replayed, ChargeRefused)


def test_the_same_prices_under_other_names_make_no_difference() -> None:
    today = odd_catalogue()
    cards = [replace(card, version=f"{card.version}, corrected") for card in today.rate_cards]

    assert replay(play(SONGS), Changes(catalogue=Catalogue(today.plans, cards))).differences == []


def test_a_plan_grants_what_the_catalogue_says_of_it_and_includes_its_asset_types() -> None:
    today = odd_catalogue()
    plans = [
        replace(plan, monthly_credits=9_900, asset_types=("music",)) if plan.plan_id == "odd-smaller-monthly" else plan
        for plan in today.plans
    ]
    history = play("""
        2024-01-31 | start odd-smaller-monthly | balance 10,000
        2024-02-01 | charge 100 video as film  | balance 9,900
                   | charge 300 as song        | balance 9,600
        2024-03-05 | charge 1                  | balance 9,999
    """)

    replayed = replay(history, Changes(catalogue=Catalogue(plans, today.rate_cards)))

    assert replayed.replayed.balance_credits == 9_899
    (film,) = [each for each in replayed.differences if each.generation_id == "film"]
    assert isinstance(film.replayed, ChargeRefused)
    assert film.replayed.code == "not_in_plan"


def test_what_the_catalogue_does_not_price_would_have_been_refused() -> None:
    today = odd_catalogue()
    cards = [replace(card, models=card.models[:1]) for card in today.rate_cards]

    replayed = replay(play(SONGS), Changes(catalogue=Catalogue(today.plans, cards)))

    codes = {each.generation_id: each.replayed for each in replayed.differences}
    assert isinstance(codes["song"], ChargeRefused)
    assert codes["song"].code == "unknown_model"


def test_a_hold_is_captured_by_the_card_of_the_other_catalogue() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | hold 1,000 as film           | available 39,000
                   | capture film 2,000           | balance 38,000
    """)
    today = odd_catalogue()
    doubled = [replace(card, models=tuple(_doubled(model) for model in card.models)) for card in today.rate_cards]

    replayed = replay(history, Changes(catalogue=Catalogue(today.plans, doubled)))

    assert replayed.replayed.balance_credits == 36_000


@pytest.mark.parametrize("histories", [60, pytest.param(1_000, marks=pytest.mark.long)])
def test_a_card_with_another_price_is_the_model_repriced(histories: int) -> None:
    differing = 0
    for number in range(histories):
        random = Random(number)
        simulation = _played(random)
        amount = random.choice((1, 75, 400, 5_000))
        other = replay(
            simulation.history, Changes(catalogue=cheaper(amount, simulation.history.catalogue)), simulation.at
        )
        repriced = replay(simulation.history, Changes(reprice={"lyria-3": Decimal(amount)}), simulation.at)
        assert _seen(other, simulation) == _seen(repriced, simulation), number
        differing += bool(other.differences)
    assert differing > histories // 10


@pytest.mark.parametrize("histories", [60, pytest.param(1_000, marks=pytest.mark.long)])
def test_the_same_catalogue_makes_no_difference(histories: int) -> None:
    for number in range(histories):
        simulation = _played(Random(number))
        today = simulation.history.catalogue
        assert replay(simulation.history, Changes(catalogue=today), simulation.at).differences == [], number


def test_what_was_settled_for_the_same_change_is_left_out() -> None:
    history = play(SONGS)
    go_on(history, "2024-02-03 | adjust 50 mark-7 | balance 100")

    again = replay(history, Changes(reprice={"lyria-3": Decimal(100)}, settled_by="mark-"))
    other = replay(history, Changes(reprice={"lyria-3": Decimal(100)}, settled_by="other-"))

    assert again.replayed.balance_credits == again.actual.balance_credits == 100
    assert other.replayed.balance_credits == 150
    (left_out,) = [each for each in again.differences if isinstance(each.actual, CreditsAdjusted)]
    assert left_out.replayed is None


def test_an_upgrade_that_could_not_have_been_made_leaves_the_cycles_as_they_were() -> None:
    history = play(
        """
        2024-01-31 | start ai-suite-40000-monthly     | balance 40,000
        2024-02-20 | hold 12,000 music 604800s as film | available 28,000
        2024-02-25 | upgrade odd-smaller-monthly      | balance 50,000
        2024-03-25 | charge 1                         | balance 9,999  cycle 3
        2024-03-31 |                                  | balance 9,999
        """,
        odd_catalogue("add_leftover"),
    )

    replayed = replay(history, Changes(upgrade_policy="fresh"))

    assert (replayed.actual.plan.plan_id, replayed.replayed.plan.plan_id) == (
        "odd-smaller-monthly",
        "ai-suite-40000-monthly",
    )
    assert replayed.replayed.balance_credits == 39_999
    assert replayed.replayed.cycle.starts_at == instant("2024-02-29")
    upgrade = next(each for each in replayed.differences if each.type == "PlanUpgraded")
    assert isinstance(upgrade.replayed, ChargeRefused)
    assert upgrade.replayed.code == "holds_outstanding"


def _doubled(model: PricedModel) -> PricedModel:
    return replace(model, credits=Decimal(2_000)) if model.model == "music" else model


def _played(random: Random, requests: Sequence[tuple[str, ...]] = REQUESTS) -> Simulation:
    beginning, steps = random_history(random, requests)
    simulation = Simulation(beginning)
    for step in steps:
        simulation.play(step)
    return simulation


def _seen(replayed: Replay, simulation: Simulation) -> tuple[int, list[tuple[int, str | None]]]:
    balance_credits = as_of(replayed.replayed, simulation.at).balance_credits
    return balance_credits, [(each.version, each.generation_id) for each in replayed.differences]
