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
    CreditsAdjusted,
    CreditsGranted,
    CreditsHeld,
    CycleReset,
    GenerationCharged,
    HoldReleased,
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
    """What was charged, held and given back so far."""

    def __init__(self) -> None:
        self._charges: dict[str, GenerationCharged] = {}
        self._held: set[str] = set()
        self._reversed: set[str] = set()

    def check(self, record: Recorded, before: Subscription | None, after: Subscription) -> None:
        """Check one event between two states. Raises Inconsistent, ArithmeticError."""
        if after.available_credits < 0:
            raise Inconsistent(f"it leaves a balance of {after.balance_credits}, with {after.held_credits} held")
        event = record.event
        if isinstance(event, SubscriptionStarted):
            _require(before is None, "the subscription has started before")
        if before is None:
            return
        is_capture = isinstance(event, GenerationCharged) and event.held_credits is not None
        goes_on = before.status != "ended" or is_capture or isinstance(event, HoldReleased)
        _require(goes_on, "the subscription has ended before")
        match event:
            case CreditsGranted():
                granted = (before.version, event.credits, event.cycle_number)
                _require(granted == (1, before.plan.monthly_credits, before.cycle.number), "it is no first allowance")
                _require(event.used_credits >= 0, "less than nothing was used before")
            case GenerationCharged():
                self._check_charge(event, record, before, after)
            case CreditsHeld():
                self._check_hold(event, before, after)
            case HoldReleased():
                _check_release(event, record, before)
            case ChargeReversed():
                self._check_reversal(event, before, after)
            case CreditsAdjusted():
                _require(event.run_id not in before.settled_runs, f"run {event.run_id} was settled before")
                cycle_number = before.cycle.number if event.alerts else None
                _require(event.cycle_number == cycle_number, f"its cycle is {cycle_number}")
            case CycleReset():
                _check_cycle(event, before)
                _require(event.cycle.starts_at == before.cycle.ends_at, "its cycle does not begin where the last ended")
                _require(event.cycle.starts_at <= record.recorded_at, "its cycle begins later than it was recorded")
                _check_lapse(event, before)
            case PlanUpgraded():
                _check_cycle(event, before)
                _require(event.from_plan_id == before.plan.plan_id, "it was on another plan")
                _require(event.balance_before == before.balance_credits, "the balance before it was another one")
            case SubscriptionEnded():
                _check_lapse(event, before)
            case _:
                pass

    def _check_charge(
        self, event: GenerationCharged, record: Recorded, before: Subscription, after: Subscription
    ) -> None:
        _require(event.generation_id not in self._charges, f"{event.generation_id} was charged before")
        self._charges[event.generation_id] = event
        _check_price(event)
        _require(event.balance_after == after.balance_credits, f"the balance after it is {after.balance_credits}")
        if event.held_credits is None:
            _require(event.generation_id not in self._held, f"{event.generation_id} was held before")
            _require(not before.is_suspended, "the subscription is suspended")
            place = (event.cycle_number, event.is_late)
            _require(place == (before.cycle.number, False), f"its cycle is {before.cycle.number}")
        else:
            _check_capture(event, record, before)

    def _check_hold(self, event: CreditsHeld, before: Subscription, after: Subscription) -> None:
        is_new = event.generation_id not in self._held and event.generation_id not in self._charges
        _require(is_new, f"{event.generation_id} was held or charged before")
        _require(not before.is_suspended, "the subscription is suspended")
        self._held.add(event.generation_id)
        _check_price(event)
        _require(event.available_after == after.available_credits, f"available after it are {after.available_credits}")
        _require(event.cycle_number == before.cycle.number, f"its cycle is {before.cycle.number}")

    def _check_reversal(self, event: ChargeReversed, before: Subscription, after: Subscription) -> None:
        charge = self._charges.get(event.generation_id)
        _require(charge is not None, f"{event.generation_id} was not charged before")
        _require(event.generation_id not in self._reversed, f"{event.generation_id} was given back before")
        self._reversed.add(event.generation_id)
        assert charge is not None
        _require(0 < event.credits <= charge.credits, f"{charge.credits} credits were charged, not {event.credits}")
        most = min(event.credits, before.undeducted_credits)
        _require(0 <= event.deducted_credits <= most, f"{event.deducted_credits} credits could not be deducted")
        _require(event.balance_after == after.balance_credits, f"the balance after it is {after.balance_credits}")
        _require(event.cycle_number == before.cycle.number, f"its cycle is {before.cycle.number}")


def _check_capture(event: GenerationCharged, record: Recorded, before: Subscription) -> None:
    hold = before.hold_of(event.generation_id)
    if hold is None:
        raise Inconsistent(f"nothing is held for {event.generation_id}")
    stated = (event.held_credits, event.model, event.member, event.cycle_number, event.is_late)
    held = (hold.credits, hold.model, hold.member, hold.cycle_number, not before.is_current(hold))
    _require(stated == held, "its hold was another")
    _require(record.recorded_at < hold.expires_at, "its hold had expired")
    _require(not event.is_late or event.credits <= hold.credits, f"only {hold.credits} credits were held")


def _check_release(event: HoldReleased, record: Recorded, before: Subscription) -> None:
    hold = before.hold_of(event.generation_id)
    if hold is None:
        raise Inconsistent(f"nothing is held for {event.generation_id}")
    lapsed_credits = 0 if before.is_current(hold) else hold.credits
    held = (event.credits, event.cycle_number, event.lapsed_credits)
    _require(held == (hold.credits, hold.cycle_number, lapsed_credits), "its hold was another")
    _require((event.cause == "expired") == (record.recorded_at >= hold.expires_at), f"it was not {event.cause} then")


def _check_lapse(event: CycleReset | SubscriptionEnded, before: Subscription) -> None:
    _require(event.lapsed_credits == before.available_credits, "another balance lapsed")
    _require(event.held_credits == before.held_credits, "another part of it was held over")


def _check_price(event: GenerationCharged | CreditsHeld) -> None:
    price_credits = recompute(event.price)
    _require(event.credits == price_credits, f"its price comes to {price_credits} credits, not to {event.credits}")
    quantity = quantity_of(event.price, event.settings)
    _require(Fraction(event.price.quantity) == quantity, "the quantity of its price is not that of its settings")


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


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise Inconsistent(why)
