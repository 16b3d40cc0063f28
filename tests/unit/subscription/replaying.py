"""Replays a history of these tests as the ledger would."""

from datetime import datetime

from services.subscription.recorded_commands import RecordedEvent, RecordedRefusal
from services.subscription.refusals import InsufficientCredits, NotInPlan, SubscriptionHasEnded
from services.subscription.what_if import Changes, Replay, what_if
from tests.unit.subscription.history import History

KEPT = (InsufficientCredits, NotInPlan, SubscriptionHasEnded)


def events_of(history: History) -> list[RecordedEvent]:
    """Return the recorded events with their versions."""
    return [RecordedEvent(version, at, event) for version, (at, event) in enumerate(history.recorded, start=1)]


def refusals_of(history: History) -> list[RecordedRefusal]:
    """Return the refusals that the ledger records: one a generation and version, the first."""
    recorded: dict[tuple[str, int], RecordedRefusal] = {}
    for each in history.refused:
        if isinstance(each.refusal, KEPT):
            required = each.refusal.required_credits if isinstance(each.refusal, InsufficientCredits) else None
            version, balance = each.state.version, each.state.balance_credits
            row = RecordedRefusal(
                version, each.at, each.command, each.command.model, each.refusal.code, required, balance
            )
            recorded.setdefault((each.command.generation_id, version), row)
    return list(recorded.values())


def replay(history: History, changes: Changes, until: datetime | None = None) -> Replay:
    """Replay a history with changes, up to its last event or refusal by default."""
    end = until or max([at for at, _ in history.recorded] + [each.at for each in history.refused])
    return what_if(events_of(history), refusals_of(history), changes, end, history.catalogue)
