"""Random histories and random changes: a replay is what the independent model computes from the changed commands.

`TALLYSTICK_SEED` plays the same histories again. The long form plays 1,000 of each property.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from random import Random, SystemRandom

import pytest
from msgspec.structs import replace

from services.catalogue import Catalogue, PerThousandCharacters, PerTrack, RateCard, Settings, UpgradePolicy
from services.catalogue.rate_card import PricedModel
from services.subscription.boundaries import as_of
from services.subscription.commands import ChargeGeneration, ReverseCharge
from services.subscription.events import GenerationCharged
from services.subscription.recorded_commands import PastTerms, Step, steps_of
from services.subscription.what_if import Changes, InsertedCharge
from tests.unit.subscription.history import History
from tests.unit.subscription.model import ModelSubscription
from tests.unit.subscription.replaying import events_of, refusals_of, replay
from tests.unit.subscription.simulation import (
    POLICIES,
    REQUESTS,
    REQUESTS_AND_EDITIONS,
    Request,
    Simulation,
    balance_of,
    random_history,
)

SHORT = 100


@pytest.mark.parametrize("histories", [SHORT, pytest.param(1_000, marks=pytest.mark.long)])
def test_no_change_is_what_happened(histories: int) -> None:
    seed = _seed()
    for number in range(histories):
        simulation = _played(Random(f"{seed}:{number}"), REQUESTS_AND_EDITIONS)
        for until in (simulation.at, Random(f"{seed}:{number}:end").choice(simulation.instants)):
            replayed = replay(simulation.history, Changes(), until)
            where = f"TALLYSTICK_SEED={seed}, history {number}, until {until}"
            assert replayed.differences == [], where
            assert replayed.replayed == replayed.actual, where
            assert as_of(replayed.actual, until) == simulation.history.state_at(until), where


@pytest.mark.parametrize("histories", [SHORT, pytest.param(1_000, marks=pytest.mark.long)])
def test_a_change_comes_to_what_the_model_computes(histories: int) -> None:
    seed = _seed()
    differing = 0
    for number in range(histories):
        random = Random(f"{seed}:{number}")
        simulation = _played(random)
        changes = _random_changes(random, simulation)
        model, charged = _changed_model(simulation.history, changes)
        replayed = replay(simulation.history, changes, simulation.at)
        where = f"TALLYSTICK_SEED={seed}, history {number}: {changes}"
        assert balance_of(as_of(replayed.replayed, simulation.at)) == model.balance(simulation.at), where
        actually = set(simulation.history.charges)
        removed = {
            each.generation_id
            for each in replayed.differences
            if _is_charge(each.actual) and not _is_charge(each.replayed)
        }
        added = {each.generation_id for each in replayed.differences if _is_charge(each.replayed)}
        assert (actually - removed) | added == charged, where
        differing += bool(replayed.differences)
    assert differing > histories // 2, "most changes make a difference, or nothing was tried"


def _played(random: Random, requests: Sequence[Request] = REQUESTS) -> Simulation:
    beginning, steps = random_history(random, requests)
    simulation = Simulation(beginning)
    for step in steps:
        simulation.play(step)
    return simulation


def _is_charge(outcome: object) -> bool:
    return isinstance(outcome, GenerationCharged)


def _random_changes(random: Random, simulation: Simulation) -> Changes:
    """Draw one change or several."""
    tried = sorted({*simulation.history.charges, *(each.command.generation_id for each in simulation.history.refused)})
    kinds = random.sample(["without", "reprice", "policy", "insert"], random.randint(1, 4))
    began = simulation.instants[0]
    inserted = tuple(
        InsertedCharge(
            began
            + timedelta(microseconds=random.randint(0, max(0, (simulation.at - began) // timedelta(microseconds=1)))),
            ChargeGeneration(
                f"inserted-{number}",
                random.choice(["music", "voiceover"]),
                Settings(characters=random.choice([1, 5_000, 100_000])),
            ),
        )
        for number in range(random.randint(1, 3))
    )
    return Changes(
        without_generations=frozenset(random.sample(tried, random.randint(0, len(tried))))
        if "without" in kinds
        else frozenset(),
        reprice=_random_prices(random) if "reprice" in kinds else {},
        upgrade_policy=random.choice(POLICIES) if "policy" in kinds else None,
        insert_charges=inserted if "insert" in kinds else (),
    )


def _random_prices(random: Random) -> Mapping[str, Decimal]:
    models = random.sample(["music", "voiceover", "lyria-3", "lyria-3-pro"], random.randint(1, 3))
    return {model: Decimal(random.choice(["0.5", "1", "100", "1000", "1500.25"])) for model in models}


def _changed_model(history: History, changes: Changes) -> tuple[ModelSubscription, set[str]]:
    """Apply the recorded commands, with the changes, to the model; return it and its charges."""
    model = ModelSubscription(_changed_catalogue(history.catalogue, changes.reprice, changes.upgrade_policy))
    steps = list(steps_of(events_of(history), refusals_of(history), history.catalogue, None))
    for extra in changes.insert_charges:
        later = (place for place, step in enumerate(steps) if step.at > extra.at)
        steps.insert(next(later, len(steps)), Step(0, extra.at, extra.command, PastTerms(history.catalogue)))
    for step in steps:
        command = step.command
        if (
            isinstance(command, ChargeGeneration | ReverseCharge)
            and command.generation_id in changes.without_generations
        ):
            continue
        if isinstance(command, ReverseCharge) and command.generation_id not in model.charges:
            continue
        model.apply(command, step.at)
    return model, set(model.charges)


def _changed_catalogue(catalogue: Catalogue, reprice: Mapping[str, Decimal], policy: UpgradePolicy | None) -> Catalogue:
    plans = [replace(plan, upgrade_policy=policy or plan.upgrade_policy) for plan in catalogue.plans]
    cards = [
        RateCard(
            version=card.version,
            effective_from=card.effective_from,
            models=tuple(_priced(model, reprice.get(model.model)) for model in card.models),
        )
        for card in catalogue.rate_cards
    ]
    return Catalogue(plans, cards, catalogue.upgrade_policy)


def _priced(model: PricedModel, credits_per_unit: Decimal | None) -> PricedModel:
    if credits_per_unit is None:
        return model
    assert isinstance(model, PerTrack | PerThousandCharacters)
    return replace(model, credits=credits_per_unit)


def _seed() -> int:
    return int(os.environ.get("TALLYSTICK_SEED") or SystemRandom().randrange(2**32))
