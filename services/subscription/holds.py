"""Decides holds: credits that are set aside for a generation until it is captured, released or expired.

A hold belongs to the cycle in which it was made, or to which an upgrade took it along. In its own cycle it is a part of
the balance that nothing else may spend. Once that cycle has ended it touches the balance no more: a capture is a charge
of the cycle that it belongs to, and anything else lapses.
"""

from datetime import datetime, timedelta

from services.catalogue import InvalidSettings, Quote, Settings, UnknownModel
from services.subscription.commands import CaptureHold, ChargeGeneration, HoldCredits, ReleaseHold
from services.subscription.events import CreditsHeld, Event, GenerationCharged, HoldReleased, ReleaseCause
from services.subscription.paying import crossed_alerts, outside_the_plan, too_few_credits
from services.subscription.refusals import (
    CycleClosed,
    InvalidSettingsRefused,
    Refusal,
    TooManyHolds,
    UnknownHold,
    UnknownModelRefused,
)
from services.subscription.state import Subscription
from services.subscription.terms import Terms

OPEN_HOLDS_MAX = 1_000


def is_same_hold(held: CreditsHeld, command: HoldCredits) -> bool:
    """Whether the command repeats the request that made the hold."""
    return held.expires_in_seconds == command.expires_in_seconds and is_same_request(held, command)


def is_same_capture(charged: GenerationCharged, held: CreditsHeld, command: CaptureHold) -> bool:
    """Whether the command repeats the capture that made the charge; without settings it is for those of the hold."""
    settings = held.settings if command.settings is None else command.settings
    return is_same_request(charged, ChargeGeneration(charged.generation_id, charged.model, settings, charged.member))


def is_same_request(recorded: GenerationCharged | CreditsHeld, command: ChargeGeneration | HoldCredits) -> bool:
    """Whether the command is for the same model, settings and member; a setting left out stands for its default."""
    requested, settings = command.settings, recorded.settings
    return (
        recorded.model == command.model
        and recorded.member == command.member
        and requested.duration_seconds == settings.duration_seconds
        and (requested.count == settings.count or (requested.count is None and settings.count == 1))
        and requested.resolution == settings.resolution
        and requested.characters == settings.characters
    )


def hold_credits(state: Subscription, command: HoldCredits, now: datetime, catalogue: Terms) -> list[Event] | Refusal:
    """Decide a hold as its charge would be decided."""
    quote = catalogue.quote(command.model, command.settings, now)
    entry = catalogue.entry(command.model, now)
    if isinstance(quote, UnknownModel) or entry is None:
        return UnknownModelRefused(command.model)
    if isinstance(quote, InvalidSettings):
        return InvalidSettingsRefused(quote.key, quote.reason)
    if (refusal := outside_the_plan(state, quote, catalogue)) is not None:
        return refusal
    if len(state.holds) >= OPEN_HOLDS_MAX:
        return TooManyHolds()
    if (refusal := too_few_credits(state, quote, catalogue)) is not None:
        return refusal
    available_after = state.available_credits - quote.credits
    return [
        CreditsHeld(
            generation_id=command.generation_id,
            model=quote.model,
            asset_type=quote.asset_type,
            settings=quote.settings,
            credits=quote.credits,
            price=quote.price,
            entry=entry,
            expires_in_seconds=command.expires_in_seconds,
            expires_at=now + timedelta(seconds=command.expires_in_seconds),
            available_after=available_after,
            cycle_number=state.cycle.number,
            member=command.member,
            alerts=crossed_alerts(state, available_after, now, catalogue),
        )
    ]


def capture(state: Subscription, command: CaptureHold, now: datetime, catalogue: Terms) -> list[Event] | Refusal:
    """Decide a capture: it asks for credits only, so that neither plan nor suspension nor end refuses it."""
    held = state.hold_of(command.generation_id)
    if held is None:
        return UnknownHold(command.generation_id)
    quote = _quote_of(held, command.settings, catalogue)
    if isinstance(quote, InvalidSettings):
        return InvalidSettingsRefused(quote.key, quote.reason)
    is_late = not state.is_current(held)
    if is_late and quote.credits > held.credits:
        return CycleClosed()
    if not is_late and (refusal := too_few_credits(state, quote, catalogue, held.credits)) is not None:
        return refusal
    return [
        GenerationCharged(
            generation_id=held.generation_id,
            model=held.model,
            asset_type=held.asset_type,
            settings=quote.settings,
            credits=quote.credits,
            price=quote.price,
            balance_after=state.balance_credits - (0 if is_late else quote.credits),
            cycle_number=held.cycle_number,
            member=held.member,
            held_credits=held.credits,
            is_late=is_late,
            alerts=() if is_late else crossed_alerts(state, _available_after(state, quote, held), now, catalogue),
        )
    ]


def _available_after(state: Subscription, quote: Quote, held: CreditsHeld) -> int:
    return state.available_credits + held.credits - quote.credits


def release(state: Subscription, command: ReleaseHold) -> list[Event] | Refusal:
    """Decide a release."""
    held = state.hold_of(command.generation_id)
    return UnknownHold(command.generation_id) if held is None else [_released(state, held, "released", command.reason)]


def expiries(state: Subscription, at: datetime) -> list[Event]:
    """List the expiries of the holds that expire by an instant, in the order in which they were made."""
    return [_released(state, held, "expired") for held in state.holds if held.expires_at <= at]


def _released(state: Subscription, held: CreditsHeld, cause: ReleaseCause, reason: str | None = None) -> HoldReleased:
    lapsed_credits = 0 if state.is_current(held) else held.credits
    return HoldReleased(held.generation_id, held.credits, cause, held.cycle_number, lapsed_credits, reason)


def _quote_of(held: CreditsHeld, settings: Settings | None, catalogue: Terms) -> Quote | InvalidSettings:
    """Price a capture by the card of the hold; without settings it is as it was held."""
    if settings is not None:
        return catalogue.quote_entry(held.entry, settings, held.price.rate_card)
    return Quote(
        model=held.model, asset_type=held.asset_type, settings=held.settings, credits=held.credits, price=held.price
    )
