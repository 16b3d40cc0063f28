"""Checks stream by stream: chains, versions and sums, folded as live state is, and the read models beside them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, get_args
from uuid import UUID

from psycopg import Connection

from projections.charges.project import CHARGES
from projections.declaration import MAX_POSITION, SUBSCRIPTION_EVENTS, LedgerEvent, Projection, changes_state
from projections.registry import CATCH_UP, INLINE_ROWS, STATES
from projections.renewal.project import RENEWAL
from services.dispute import state as dispute
from services.dispute.events import DisputeEvent
from services.integrity.findings import Findings, event_name
from services.integrity.rules import broken_rules
from services.integrity.verify.disputes import DisputesCheck
from services.integrity.verify.event_rows import ChargesCheck, check_of
from services.integrity.verify.rows import (
    EventsCheck,
    RenewalCheck,
    Rows,
    SnapshotsCheck,
    StateRowsCheck,
    Stream,
    scan_of,
)
from services.integrity.verify.stored_columns import instant_of, is_instant, scan, try_hash
from services.ledger.hashing import NO_HASH
from services.ledger.mapper import SNAPSHOT_TOPIC, UnreadableEvent, decode_event
from services.postgres.sql import Queries
from services.subscription import state as subscription

REPORT_EVENTS = 10_000
_DISPUTE_EVENTS = frozenset(get_args(DisputeEvent))


class Range(NamedTuple):
    """A range of stream ids, both ends included."""

    first: UUID
    last: UUID


ALL_STREAMS = Range(UUID(int=0), UUID(int=2**128 - 1))


def ranges(count: int) -> list[Range]:
    """All stream ids, divided into `count` ranges of one size."""
    bounds = [(place << 128) // count for place in range(count + 1)]
    return [Range(UUID(int=first), UUID(int=after - 1)) for first, after in pairwise(bounds)]


class StreamsCheck:
    """Reads the streams of a range once, each from its first event on."""

    def __init__(
        self,
        connection: Connection[Any],
        schema: str,
        queries: Queries,
        findings: Findings,
        report: Callable[[int], None],
        streams: Range = ALL_STREAMS,
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._range = streams._asdict()
        self._queries = queries
        self._findings = findings
        self._report = report
        self.streams = 0
        self._checks_by_type: dict[type, list[EventsCheck]] = {}
        """By type of event, the checks that depend on it."""

    def run(self) -> int:
        """Check all streams and return the number of their events. Raises psycopg.Error."""
        checks = self._checks()
        for kind in SUBSCRIPTION_EVENTS | _DISPUTE_EVENTS:
            self._checks_by_type[kind] = [check for check in checks if kind in check.event_types]
        stream: Stream | None = None
        events = 0
        for row in scan(self._connection, self._queries["scan_by_stream"], "by_stream", self._range):
            if stream is None or row[1] != stream.id:
                if stream is not None:
                    _end(stream, checks)
                stream = Stream(row[1], hash=NO_HASH)
                self.streams += 1
                for check in checks:
                    check.begin(stream)
            self._take(stream, row)
            events += 1
            if events % REPORT_EVENTS == 0:
                self._report(REPORT_EVENTS)
        if stream is not None:
            _end(stream, checks)
        for check in checks:
            check.finish()
        self._check_generations()
        self._report(events % REPORT_EVENTS)
        return events

    def _check_generations(self) -> None:
        """Check that no generation has two rows, by whose place a second charge of it would be refused."""
        query = self._queries["repeated_generations"]
        for stream_id, generation_id, count in self._connection.execute(query, self._range):
            subject = f"charges rows of {UUID(bytes=stream_id)} ({generation_id})"
            self._findings.add(MAX_POSITION, subject, f"there are {count}: a generation is charged or held once")

    def _checks(self) -> list[EventsCheck]:
        positions = dict(self._connection.execute(self._queries["select_positions"]).fetchall())
        charges = ChargesCheck(self._rows_of(CHARGES, "version"), self._findings)
        snapshots = self._rows("snapshots", self._queries["scan_snapshots"])
        return [
            *(StateRowsCheck(each, self._rows_of(each)) for each in STATES if each != RENEWAL),
            RenewalCheck(self._rows_of(RENEWAL)),
            charges,
            *(check_of(each, self._rows_of(each), charges) for each in INLINE_ROWS if each != CHARGES),
            *(
                check_of(each, self._rows_of(each, *each.key), charges, positions.get(each.table, 0))
                for each in CATCH_UP
            ),
            SnapshotsCheck(snapshots),
            DisputesCheck(self._connection, self._queries, self._findings),
        ]

    def _rows_of(self, projection: Projection, *order: str) -> Rows:
        return self._rows(projection.table, scan_of(projection, self._schema, *order))

    def _rows(self, table: str, query: bytes) -> Rows:
        arguments = {**self._range, "topic": SNAPSHOT_TOPIC}
        rows: Iterator[Any] = scan(self._connection, query, table, arguments)
        return Rows(table, rows, self._findings)

    def _take(self, stream: Stream, row: Sequence[Any]) -> None:
        """Check the next event of a stream: its place and chain, then its content."""
        position, _, version, recorded_at, _, topic, state = row
        self._check_place(stream, row)
        stream.version, stream.position, stream.recorded_at = version, position, recorded_at
        stream.hash = try_hash(row) or NO_HASH
        if stream.is_broken:
            return
        try:
            event = decode_event(topic, state)
        except UnreadableEvent as error:
            stream.is_broken = True
            self._findings.add(position, event_name(row), f"cannot be read: {error}")
            return
        placed = LedgerEvent(position, stream.id, version, instant_of(recorded_at), event)
        reason = self._fold(stream, placed)
        if reason is not None:
            stream.is_broken = True
            self._findings.add(position, event_name(row), reason)
            return
        for check in self._checks_by_type[type(event)]:
            check.take(stream, placed, row)

    def _check_place(self, stream: Stream, row: Sequence[Any]) -> None:
        position, _, version, recorded_at, previous_hash, _, _ = row
        if version != stream.version + 1:
            stream.is_broken = True
            self._findings.add(position, event_name(row), f"comes after version {stream.version} of its stream")
        elif previous_hash != stream.hash:
            before = f"the event before it in its stream ({stream.position})" if stream.version else "nothing"
            reason = f"is not chained to {before}: one of the two was changed"
            self._findings.add(position, event_name(row), reason)
        if position <= stream.position:
            self._findings.add(position, event_name(row), f"stands before version {stream.version} of its stream")
        if not is_instant(recorded_at):
            stream.is_broken = True
            self._findings.add(position, event_name(row), "was recorded at an instant that no calendar has")

    def _fold(self, stream: Stream, placed: LedgerEvent) -> str | None:
        """Fold the event into its stream and check what it says. Returns what does not hold, in words, or None."""
        event = placed.event
        kind, before = type(event), stream.state
        is_subscription = kind in SUBSCRIPTION_EVENTS
        if stream.version > 1 and is_subscription != stream.is_subscription:
            return "is of another kind than its stream"
        stream.is_subscription = is_subscription
        try:
            stream.state = (subscription.evolve if is_subscription else dispute.evolve)(before, event)
        except Exception as error:  # noqa: BLE001 - whatever a changed event does to the fold, it is a finding
            return f"does not follow from the events before it: {error}"
        if stream.state.version != stream.version:
            return f"makes version {stream.state.version} of its stream"
        if not is_subscription:
            return None
        if changes_state(event):
            stream.changed_version = stream.version
        return next(broken_rules(before, event, stream.state, placed.recorded_at), None)


def _end(stream: Stream, checks: Sequence[EventsCheck]) -> None:
    for check in checks:
        check.end(stream)
