"""Folds a subscription's stored events from their JSON alone; nothing of the service is used to read it."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from tests.unit.subscription.model_life import Change, Span

Fields = dict[str, Any]

NOTHING = {"granted_credits": 0, "used_credits": 0, "reversed_credits": 0, "carried_credits": 0}


class Fact(NamedTuple):
    """The state of a subscription after an event, as far as this fold reads it."""

    status: str
    plan_id: str
    granted_credits: int
    used_credits: int
    reversed_credits: int
    carried_credits: int
    cycle: Span
    term: Span
    scheduled_change: Change | None


def fold_events(events: Iterable[tuple[str, bytes]]) -> Iterator[Fact]:
    """Yield the state after each event of a stream, given as topics and stored JSON, oldest first."""
    before: Fields = {}
    for topic, state in events:
        data = json.loads(state)["data"]
        before |= _periods(data) | _changes(before, topic, data)
        yield Fact(**before)


def _periods(data: Fields) -> Fields:
    return {
        name: Span(data[name]["number"], _instant(data[name]["starts_at"]), _instant(data[name]["ends_at"]))
        for name in ("cycle", "term")
        if name in data
    }


def _changes(before: Fields, topic: str, data: Fields) -> Fields:
    plan_id = data.get("plan", {}).get("plan_id")
    match topic:
        case "SubscriptionStarted":
            return {**NOTHING, "status": "active", "plan_id": plan_id, "scheduled_change": None}
        case "CreditsGranted":
            return {"granted_credits": data["credits"]}
        case "GenerationCharged":
            return {"used_credits": before["used_credits"] + data["credits"]}
        case "ChargeReversed":
            deducted = data.get("deducted_credits", 0)
            return {
                "used_credits": before["used_credits"] + deducted,
                "reversed_credits": before["reversed_credits"] + data["credits"],
            }
        case "CreditsAdjusted":
            counter = "reversed_credits" if data["credits"] > 0 else "used_credits"
            return {counter: before[counter] + abs(data["credits"])}
        case "CycleReset":
            return {**NOTHING, "granted_credits": data["granted_credits"]}
        case "TermRenewed":
            return {"plan_id": plan_id, "scheduled_change": None}
        case "PlanUpgraded":
            counters = {name: data[name] for name in NOTHING}
            return {**counters, "status": "active", "plan_id": plan_id, "scheduled_change": None}
        case "PlanChangeScheduled":
            change = Change("downgrade", plan_id, _instant(data["effective_at"]))
            return {"status": "active", "scheduled_change": change}
        case "AlertsChanged":
            return {}
        case "PlanChangeUnscheduled":
            return {"status": "active", "scheduled_change": None}
        case "SubscriptionCancelled":
            return {"status": "cancelling", "scheduled_change": Change("cancel", None, _instant(data["effective_at"]))}
        case "SubscriptionEnded":
            return {**NOTHING, "status": "ended", "scheduled_change": None}
        case _:
            raise AssertionError(f"no event of a subscription: {topic}")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
