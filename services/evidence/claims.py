"""Checks that each event of a subscription says what the events before it make it.

This is what evidence proves beyond its bytes: balances, prices, cycles, and that nothing is charged or returned twice.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import assert_never

from services.catalogue import Price, Settings, recompute
from services.catalogue.rate_card import RULES
from services.ledger.records import Recorded
from services.subscription.events import (
    ChargeReversed,
    CreditsGranted,
    CycleReset,
    GenerationCharged,
    PlanUpgraded,
    SubscriptionEnded,
    SubscriptionStarted,
)
from services.subscription.state import Subscription, evolve


class Inconsistent(ValueError):
    """The events do not fit together; the text says where."""


def states_of(history: Sequence[Recorded]) -> list[Subscription]:
    """Fold the state after each event, and check what each says. Raises Inconsistent."""
    states: list[Subscription] = []
    claims = _Claims()
    for each in history:
        before = states[-1] if states else None
        try:
            after = evolve(before, each.event)
            claims.check(each, before, after)
        except (ValueError, ArithmeticError) as error:
            raise Inconsistent(f"version {each.version}: {error}") from None
        states.append(after)
    return states


class _Claims:
    """What was charged and given back so far."""

    def __init__(self) -> None:
        self._charges: dict[str, GenerationCharged] = {}
        self._reversed: set[str] = set()

    def check(self, record: Recorded, before: Subscription | None, after: Subscription) -> None:
        """Check one event between two states. Raises Inconsistent, ArithmeticError."""
        if after.balance_credits < 0:
            raise Inconsistent(f"it leaves a balance of {after.balance_credits}")
        event = record.event
        if isinstance(event, SubscriptionStarted):
            _require(before is None, "the subscription has started before")
        if before is None:
            return
        match event:
            case CreditsGranted():
                granted = (before.version, event.credits, event.cycle_number)
                _require(granted == (1, before.plan.monthly_credits, before.cycle.number), "it is no first allowance")
            case GenerationCharged():
                self._check_charge(event, after)
            case ChargeReversed():
                self._check_reversal(event, before, after)
            case CycleReset():
                _check_cycle(event, before)
                _require(event.cycle.starts_at == before.cycle.ends_at, "its cycle does not begin where the last ended")
                _require(event.cycle.starts_at <= record.recorded_at, "its cycle begins later than it was recorded")
                _require(event.lapsed_credits == before.balance_credits, "another balance lapsed")
            case PlanUpgraded():
                _check_cycle(event, before)
                _require(event.from_plan_id == before.plan.plan_id, "it was on another plan")
                _require(event.balance_before == before.balance_credits, "the balance before it was another one")
            case SubscriptionEnded():
                _require(event.lapsed_credits == before.balance_credits, "another balance lapsed")
            case _:
                pass

    def _check_charge(self, event: GenerationCharged, after: Subscription) -> None:
        _require(event.generation_id not in self._charges, f"{event.generation_id} was charged before")
        self._charges[event.generation_id] = event
        _check_balance(event, after)
        price_credits = recompute(event.price)
        _require(event.credits == price_credits, f"its price comes to {price_credits} credits, not to {event.credits}")
        quantity = quantity_of(event.price, event.settings)
        _require(Fraction(event.price.quantity) == quantity, "the quantity of its price is not that of its settings")

    def _check_reversal(self, event: ChargeReversed, before: Subscription, after: Subscription) -> None:
        charge = self._charges.get(event.generation_id)
        _require(charge is not None, f"{event.generation_id} was not charged before")
        _require(event.generation_id not in self._reversed, f"{event.generation_id} was given back before")
        self._reversed.add(event.generation_id)
        assert charge is not None
        _require(event.credits == charge.credits, f"{charge.credits} credits were charged, not {event.credits}")
        most = min(event.credits, before.undeducted_credits)
        _require(0 <= event.deducted_credits <= most, f"{event.deducted_credits} credits could not be deducted")
        _check_balance(event, after)


def quantity_of(price: Price, settings: Settings) -> Fraction:
    """Compute the quantity of a price from the settings, by its rule."""
    rule = next((rule for rule in RULES if rule == price.rule), None)
    match rule:
        case "per_second":
            return Fraction(settings.duration_seconds or 0) * (settings.count or 1)
        case "per_1000_characters":
            return Fraction(settings.characters or 0, 1000)
        case "per_track" | "per_image" | None:  # any rule that the format does not name counts, too
            return Fraction(settings.count or 1)
        case _:
            assert_never(rule)


def _check_cycle(event: CycleReset | PlanUpgraded, before: Subscription) -> None:
    _require(event.cycle.number == before.cycle.number + 1, f"its cycle has the number {event.cycle.number}")


def _check_balance(event: GenerationCharged | ChargeReversed, after: Subscription) -> None:
    _require(event.balance_after == after.balance_credits, f"the balance after it is {after.balance_credits}")
    _require(event.cycle_number == after.cycle.number, f"its cycle is {after.cycle.number}")


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise Inconsistent(why)
