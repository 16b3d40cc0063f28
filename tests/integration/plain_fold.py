"""What a subscription's stored events come to, told by their JSON alone; nothing of the service is used to read it."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from tests.unit.subscription.model_life import Change, Span

Told = dict[str, Any]
"""What is told so far, by name."""

NOTHING = {"granted_credits": 0, "used_credits": 0, "reversed_credits": 0, "carried_credits": 0}


class Fact(NamedTuple):
    """What is told of a subscription after an event."""

    status: str
    plan_id: str
    granted_credits: int
    used_credits: int
    reversed_credits: int
    carried_credits: int
    cycle: Span
    term: Span
    scheduled_change: Change | None


def told_by(events: Iterable[tuple[str, bytes]]) -> Iterator[Fact]:
    """What is told after each of a stream's events, given as topic and stored state, oldest first."""
    told: Told = {}
    for topic, state in events:
        said = json.loads(state)["data"]
        told |= _periods(said) | _told(told, topic, said)
        yield Fact(**told)


def _periods(said: Told) -> Told:
    return {
        name: Span(said[name]["number"], _instant(said[name]["starts_at"]), _instant(said[name]["ends_at"]))
        for name in ("cycle", "term")
        if name in said
    }


def _told(told: Told, topic: str, said: Told) -> Told:
    plan_id = said.get("plan", {}).get("plan_id")
    match topic:
        case "SubscriptionStarted":
            return {**NOTHING, "status": "active", "plan_id": plan_id, "scheduled_change": None}
        case "CreditsGranted":
            return {"granted_credits": said["credits"]}
        case "GenerationCharged":
            return {"used_credits": told["used_credits"] + said["credits"]}
        case "ChargeReversed":
            return {"reversed_credits": told["reversed_credits"] + said["credits"]}
        case "CycleReset":
            return {**NOTHING, "granted_credits": said["granted_credits"]}
        case "TermRenewed":
            return {"plan_id": plan_id, "scheduled_change": None}
        case "PlanUpgraded":
            counters = {name: said[name] for name in NOTHING}
            return {**counters, "status": "active", "plan_id": plan_id, "scheduled_change": None}
        case "PlanChangeScheduled":
            change = Change("downgrade", plan_id, _instant(said["effective_at"]))
            return {"status": "active", "scheduled_change": change}
        case "PlanChangeUnscheduled":
            return {"status": "active", "scheduled_change": None}
        case "SubscriptionCancelled":
            return {"status": "cancelling", "scheduled_change": Change("cancel", None, _instant(said["effective_at"]))}
        case "SubscriptionEnded":
            return {**NOTHING, "status": "ended", "scheduled_change": None}
        case _:
            raise AssertionError(f"no event of a subscription: {topic}")


def _instant(written: str) -> datetime:
    return datetime.fromisoformat(written)
