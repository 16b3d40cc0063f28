"""Replays ranges of subscriptions: the work of one process of a run."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.ledger_events import BadEvent
from services.catalogue import Catalogue
from services.fleet.changes import CatalogueText, FleetChanges
from services.fleet.run_file import RunLine, encode_line
from services.ledger.mapper import DISPUTE_TOPICS, decode_subscription_event
from services.ledger.what_if import refused_command, shown
from services.postgres.database import connect
from services.postgres.sql import Queries, load_queries
from services.subscription.boundaries import as_of
from services.subscription.events import CreditsHeld, GenerationCharged
from services.subscription.outcomes import ChargeRefused
from services.subscription.recorded_commands import RecordedEvent, RecordedRefusal
from services.subscription.state import Subscription, fold
from services.subscription.what_if import ReplayDifference, what_if


class IdRange(Struct, frozen=True):
    """Subscriptions whose ids are above one, if any, and up to another; `number` orders the ranges of a run."""

    number: int
    after: UUID | None
    until: UUID


class ReplayTask(Struct, frozen=True):
    """The work of one process: to replay ranges as they were recorded up to a position, and refused up to a number."""

    database_url: str
    schema: str
    today: CatalogueText
    changes: FleetChanges
    position: int
    refusals: int
    ranges: Sequence[IdRange]


class Replayed(Struct, frozen=True):
    """What a range came to: its lines as they are written, and the sums of what they say."""

    number: int
    until: UUID
    subscriptions: int
    events: int
    lines: int
    difference_credits: int
    text: bytes


def replay_ranges(task: ReplayTask, report: Callable[[Replayed], None]) -> None:
    """Replay the ranges of a task one by one, and report each. Raises BadEvent, psycopg.Error."""
    replayer = _RangeReplayer(task)
    with connect(task.database_url, autocommit=True) as connection:
        for each in task.ranges:
            report(replayer.replay(connection, each))


class _RangeReplayer:
    def __init__(self, task: ReplayTask) -> None:
        self._task = task
        self._today = task.today.load()
        catalogue = task.changes.catalogue
        self._catalogue: Catalogue | None = None if catalogue is None else catalogue.load()
        self._queries: Queries = load_queries(__file__, "fleet.sql", schema=task.schema)

    def replay(self, connection: Connection[Any], ids: IdRange) -> Replayed:
        refusals = self._refusals(connection, ids)
        lines, events, subscriptions, difference_credits = list[bytes](), 0, 0, 0
        for id, history in self._histories(connection, ids):
            if self._is_left_out(history):
                continue
            events, subscriptions = events + len(history), subscriptions + 1
            if (line := self._line(id, history, refusals.get(id.bytes, ()))) is not None:
                lines.append(encode_line(line))
                difference_credits += line.difference_credits
        return Replayed(ids.number, ids.until, subscriptions, events, len(lines), difference_credits, b"".join(lines))

    def _is_left_out(self, history: Sequence[RecordedEvent]) -> bool:
        plan_id = self._task.changes.plan_id
        if plan_id is None:
            return False
        state = fold(each.event for each in history)
        assert state is not None
        return state.plan.plan_id != plan_id

    def _line(self, id: UUID, history: Sequence[RecordedEvent], refusals: Sequence[RecordedRefusal]) -> RunLine | None:
        last = history[-1]
        refused = [each for each in refusals if each.version <= last.version]
        until = max([last.at, *(each.at for each in refused)])
        found = what_if(history, refused, self._task.changes.core(id, self._catalogue), until, self._today)
        balances: list[Subscription] = [as_of(state, until) for state in (found.actual, found.replayed)]
        difference_credits = balances[1].balance_credits - balances[0].balance_credits
        if not found.differences and not difference_credits:
            return None
        return RunLine(
            id,
            difference_credits,
            sum(_is_turned(each, to_charge=True) for each in found.differences),
            sum(_is_turned(each, to_charge=False) for each in found.differences),
            [shown(each) for each in found.differences],
        )

    def _histories(self, connection: Connection[Any], ids: IdRange) -> Iterator[tuple[UUID, list[RecordedEvent]]]:
        arguments = {
            "after": ids.after,
            "until": ids.until,
            "position": self._task.position,
            "other_topics": sorted(DISPUTE_TOPICS),
        }
        cursor = connection.cursor(binary=True)
        rows = cursor.execute(self._queries["select_histories"], arguments).fetchall()
        for stream, of_stream in groupby(rows, itemgetter(0)):
            id = UUID(bytes=stream)
            history = [_event(id, *columns) for _, *columns in of_stream]
            yield id, history

    def _refusals(self, connection: Connection[Any], ids: IdRange) -> dict[bytes, list[RecordedRefusal]]:
        arguments = {"after": ids.after, "until": ids.until, "refusals": self._task.refusals}
        cursor = connection.cursor(binary=True)
        refusals: dict[bytes, list[RecordedRefusal]] = {}
        for stream, version, refused_at, op, generation_id, model, settings, *rest in cursor.execute(
            self._queries["select_refusals"], arguments
        ):
            command = refused_command(op, generation_id, model, settings)
            refusals.setdefault(stream, []).append(RecordedRefusal(version, refused_at, command, model, *rest))
        return refusals


def _event(id: UUID, version: int, recorded_at: Any, topic: str, state: bytes) -> RecordedEvent:
    try:
        return RecordedEvent(version, recorded_at, decode_subscription_event(topic, state))
    except ValueError as error:
        raise BadEvent(f"version {version} of {id} ({topic}): {error}") from error


def _is_turned(difference: ReplayDifference, *, to_charge: bool) -> bool:
    """Whether a refusal would have been paid for; or the other way round."""
    sides = (difference.actual, difference.replayed) if to_charge else (difference.replayed, difference.actual)
    return isinstance(sides[0], ChargeRefused) and isinstance(sides[1], GenerationCharged | CreditsHeld)
