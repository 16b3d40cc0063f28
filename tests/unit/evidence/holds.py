"""Builds histories with holds: captured, released, expired, late, over an upgrade and beyond the end."""

from datetime import UTC, datetime

from services.catalogue import Settings
from services.subscription.commands import (
    AdjustCredits,
    CancelSubscription,
    CaptureHold,
    ChargeGeneration,
    Command,
    HoldCredits,
    ReinstateSubscription,
    ReleaseHold,
    StartSubscription,
    SuspendSubscription,
    UpgradePlan,
)
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.history import History

TWO = Settings(count=2)

FIRST_CYCLE: tuple[tuple[str, Command], ...] = (
    ("2024-01-31 10:00", StartSubscription("acme", "ai-suite-40000-monthly")),
    ("2024-02-02 09:00", HoldCredits("track", "lyria-3", TWO)),
    ("2024-02-02 09:01", HoldCredits("other", "lyria-3")),
    ("2024-02-02 09:02", HoldCredits("short", "lyria-3", expires_in_seconds=60)),
    ("2024-02-02 09:05", CaptureHold("track", Settings(count=1))),
    ("2024-02-02 09:06", ReleaseHold("other", "It failed.")),
    ("2024-02-03 10:00", ChargeGeneration("plain", "lyria-3", TWO)),
)
SUSPENDED: tuple[tuple[str, Command], ...] = (
    ("2024-02-04 10:00", HoldCredits("shared", "lyria-3", TWO, member="anna")),
    ("2024-02-04 10:01", SuspendSubscription("A renewal was not paid.")),
    ("2024-02-04 10:02", CaptureHold("shared", Settings(count=1))),
    ("2024-02-04 10:03", ReinstateSubscription("It was paid.")),
    ("2024-02-04 10:04", ChargeGeneration("again", "lyria-3", member="ben")),
)
ADJUSTED: tuple[tuple[str, Command], ...] = (
    ("2024-02-05 10:00", AdjustCredits(150, "run-1", "lyria-3 was priced at 300.")),
    ("2024-02-05 10:01", AdjustCredits(-60_000, "run-2", "Credits were given twice.")),
)
NEXT_CYCLE: tuple[tuple[str, Command], ...] = (
    ("2024-02-29 09:55", HoldCredits("late", "lyria-3", TWO)),
    ("2024-02-29 09:56", HoldCredits("forgotten", "lyria-3")),
    ("2024-02-29 10:05", CaptureHold("late")),
    ("2024-02-29 10:06", ReleaseHold("forgotten")),
)
LAST_CYCLE: tuple[tuple[str, Command], ...] = (
    ("2024-03-05 10:00", HoldCredits("over", "lyria-3", TWO)),
    ("2024-03-05 10:01", UpgradePlan("max-pro-240000-monthly")),
    ("2024-03-05 10:02", CaptureHold("over", Settings(count=3))),
    ("2024-03-06 10:00", HoldCredits("beyond", "lyria-3")),
    ("2024-03-06 10:00", HoldCredits("lost", "lyria-3")),
    ("2024-03-06 10:01", CancelSubscription("now")),
    ("2024-03-06 10:02", CaptureHold("beyond")),
    ("2024-03-06 10:03", ReleaseHold("lost")),
)


def history_of(*steps: tuple[str, Command]) -> History:
    """Carry out commands at their instants; each must succeed."""
    history = History(odd_catalogue())
    for when, command in steps:
        answer = history.apply(command, datetime.fromisoformat(when).replace(tzinfo=UTC))
        assert answer.code == "done", (when, command, answer)
    return history


def moved_in() -> History:
    """A subscription that moved in with an anchor and used credits of its own."""
    anchor_at = datetime(2023, 10, 31, 9, tzinfo=UTC)
    start = StartSubscription("acme", "ai-suite-40000-monthly", anchor_at=anchor_at, used_credits=1_000)
    later = [(when, command) for when, command in FIRST_CYCLE[1:] if when < "2024-02-29"]
    return history_of((FIRST_CYCLE[0][0], start), *later)


def captured() -> History:
    """A cycle in which a hold was captured for less, one released, and one expired."""
    return history_of(*FIRST_CYCLE)


def captured_while_suspended() -> History:
    """A cycle in which a member's hold was captured while the subscription was suspended."""
    return history_of(*FIRST_CYCLE, *SUSPENDED)


def adjusted() -> History:
    """A cycle in which the differences of two runs were settled: credits were given, and then all were taken."""
    return history_of(*FIRST_CYCLE, *ADJUSTED)


def captured_late() -> History:
    """Another cycle, in which holds of the first one are captured and released."""
    return history_of(*FIRST_CYCLE, *NEXT_CYCLE)


def captured_to_the_end() -> History:
    """An upgrade with a hold, and an end beyond which holds are captured and released."""
    return history_of(*FIRST_CYCLE, *NEXT_CYCLE, *LAST_CYCLE)
