"""The `history` command: every event of a subscription, what it did, and the balance that it left."""

from collections.abc import Iterator
from datetime import UTC
from typing import Annotated, assert_never
from uuid import UUID

import typer

from services.bootstrap.ledger import open_ledger
from services.cli.console import EXIT_FAILURE, JSON, err, out, plain_errors, read_settings
from services.ledger.history import as_stored
from services.ledger.mapper import read_event
from services.ledger.records import Recorded
from services.subscription.events import (
    ChargeReversed,
    CreditsGranted,
    CycleReset,
    Event,
    GenerationCharged,
    PlanChangeScheduled,
    PlanChangeUnscheduled,
    PlanUpgraded,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionStarted,
    TermRenewed,
)
from services.subscription.state import Subscription, evolve

_COLUMNS = "{:>8}  {:<27}  {:<22}  {:>12}  {}"


def history(
    subscription: Annotated[UUID, typer.Argument(help="The id of the subscription.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as the API answers.")] = False,
) -> None:
    """Show every event of a subscription, oldest first, with the balance that each left."""
    with plain_errors(), open_ledger(read_settings()) as ledger:
        events = [read_event(stored) for stored in ledger.application.recorder.select_events(subscription)]
    if not events:
        err.print(f"[red]There is no subscription {subscription}.")
        raise typer.Exit(EXIT_FAILURE)
    for line in _as_json(events) if as_json else _as_text(events):
        out.print(line, markup=False)


def _as_json(events: list[Recorded]) -> Iterator[str]:
    return (JSON.encode(as_stored(each.stored)).decode() for each in events)


def _as_text(events: list[Recorded]) -> Iterator[str]:
    yield _COLUMNS.format("version", "recorded at", "event", "balance", "what")
    state: Subscription | None = None
    for each in events:
        state = evolve(state, each.event)
        at = f"{each.stored.recorded_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        balance = f"{state.balance_credits:,}"
        yield _COLUMNS.format(each.originator_version, at, type(each.event).__name__, balance, _describe(each.event))


def _describe(event: Event) -> str:
    """Describe an event in a few words."""
    match event:
        case SubscriptionStarted():
            return f"{event.account_id} takes {event.plan.plan_id}"
        case CreditsGranted():
            return f"+{event.credits:,}, the first allowance"
        case GenerationCharged():
            per_unit = f"{event.price.quantity:f} {event.price.unit} x {event.price.credits_per_unit:f}"
            return f"-{event.credits:,} for {event.generation_id}: {event.model}, {per_unit}"
        case PlanUpgraded():
            granted, used = f"{event.granted_credits:,}", f"{event.used_credits:,}"
            return f"{event.from_plan_id} to {event.plan.plan_id} by {event.policy}: {granted} less {used} used"
        case CycleReset():
            return f"cycle {event.cycle.number}: {event.lapsed_credits:,} lapsed, {event.granted_credits:,} granted"
        case TermRenewed():
            return f"term {event.term.number} on {event.plan.plan_id}, until {event.term.ends_at:%Y-%m-%d %H:%M}"
        case PlanChangeScheduled():
            return f"to {event.plan.plan_id} on {event.effective_at:%Y-%m-%d %H:%M}"
        case PlanChangeUnscheduled():
            return f"the {event.kind} was taken back"
        case SubscriptionCancelled():
            return f"as of {event.effective_at:%Y-%m-%d %H:%M}"
        case SubscriptionEnded():
            return f"{event.lapsed_credits:,} lapsed"
        case ChargeReversed():
            return f"+{event.credits:,} for {event.generation_id}, by dispute {event.dispute_id}"
        case _:
            assert_never(event)
