"""The check stream by stream: chains, versions and sums, folded as live state is, and the read models beside them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

from psycopg import Connection

from projections.fold import COUNTER_EVENTS
from services.dispute import state as dispute
from services.dispute.events import DisputeEvent
from services.ledger.event_rules import broken_rules
from services.ledger.findings import Findings, event_name
from services.ledger.hashing import NO_HASH
from services.ledger.mapper import SNAPSHOT_TOPIC, UnreadableEvent, decode_event
from services.ledger.stored_columns import instant, scan, try_hash
from services.ledger.verify_event_rows import ChargesCheck, DisputesCheck, UsageCheck
from services.ledger.verify_rows import BalanceCheck, RenewalCheck, Rows, RowsCheck, SnapshotsCheck, Stream
from services.sql import Queries
from services.subscription import state as subscription
from services.subscription.events import Event

REPORT_EVENTS = 10_000
_SUBSCRIPTION_EVENTS = frozenset(get_args(Event))
_DISPUTE_EVENTS = frozenset(get_args(DisputeEvent))


class StreamsCheck:
    """One pass over the ledger, stream by stream."""

    def __init__(
        self, connection: Connection[Any], queries: Queries, findings: Findings, report: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._findings = findings
        self._report = report
        self.streams = 0

    def run(self, last_position: int) -> int:
        """Check; how many events there were. `last_position` is that of the last one."""
        checks = self._rows_checks(last_position)
        stream: Stream | None = None
        events = 0
        for row in scan(self._connection, self._queries["scan_by_stream"], "by_stream"):
            if stream is None or row[1] != stream.id:
                if stream is not None:
                    _end(stream, checks)
                stream = Stream(row[1], hash=NO_HASH)
                self.streams += 1
                for check in checks:
                    check.begin(stream)
            self._take(stream, row, checks)
            events += 1
            if events % REPORT_EVENTS == 0:
                self._report(REPORT_EVENTS)
        if stream is not None:
            _end(stream, checks)
        for check in checks:
            check.finish()
        self._report(events % REPORT_EVENTS)
        return events

    def _rows_checks(self, last_position: int) -> list[RowsCheck]:
        positions = dict(self._connection.execute(self._queries["select_positions"]).fetchall())
        for projection, position in positions.items():
            if not 0 <= position <= last_position:
                reason = f"says that it has taken event {position}, but the last one is {last_position}"
                self._findings.add(last_position + 1, f"the position of {projection}", reason)
        charges = ChargesCheck(self._rows("charges"), self._findings)
        return [
            BalanceCheck(self._rows("balance")),
            RenewalCheck(self._rows("renewal")),
            charges,
            UsageCheck(self._rows("usage"), charges, positions.get("usage", 0)),
            DisputesCheck(self._rows("disputes"), positions.get("disputes", 0)),
            SnapshotsCheck(self._rows("snapshots", {"topic": SNAPSHOT_TOPIC})),
        ]

    def _rows(self, table: str, arguments: Mapping[str, Any] | None = None) -> Rows:
        rows: Iterator[Any] = scan(self._connection, self._queries[f"scan_{table}"], table, arguments)
        return Rows(table, rows, self._findings)

    def _take(self, stream: Stream, row: Sequence[Any], checks: Sequence[RowsCheck]) -> None:
        """The next event of a stream: its place and chain, then what it says."""
        position, _, version, recorded_at, _, topic, state = row
        name = event_name(position, topic, stream.id, version)
        self._check_place(stream, row, name)
        stream.version, stream.position, stream.recorded_at = version, position, recorded_at
        stream.hash = try_hash(row) or NO_HASH
        if stream.is_broken:
            return
        try:
            event = decode_event(topic, state)
        except UnreadableEvent as error:
            stream.is_broken = True
            self._findings.add(position, name, f"cannot be read: {error}")
            return
        reason = self._fold(stream, event)
        if reason is not None:
            stream.is_broken = True
            self._findings.add(position, name, reason)
            return
        for check in checks:
            check.take(stream, event, name)

    def _check_place(self, stream: Stream, row: Sequence[Any], name: str) -> None:
        position, _, version, recorded_at, previous_hash, _, _ = row
        if version != stream.version + 1:
            stream.is_broken = True
            self._findings.add(position, name, f"comes after version {stream.version} of its stream")
        elif previous_hash != stream.hash:
            before = f"the event before it in its stream ({stream.position})" if stream.version else "nothing"
            self._findings.add(position, name, f"is not chained to {before}: one of the two was changed")
        if position <= stream.position:
            self._findings.add(position, name, f"stands before version {stream.version} of its stream")
        try:
            instant(recorded_at)
        except OverflowError:
            stream.is_broken = True
            self._findings.add(position, name, "was recorded at an instant that no calendar has")

    def _fold(self, stream: Stream, event: Any) -> str | None:
        """Fold the event, and check what it says; why not, where it does not fit."""
        kind, before = type(event), stream.state
        is_subscription = kind in _SUBSCRIPTION_EVENTS
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
        if kind not in COUNTER_EVENTS:
            stream.changed_version = stream.version
        return next(broken_rules(before, event, stream.state), None)


def _end(stream: Stream, checks: Sequence[RowsCheck]) -> None:
    for check in checks:
        check.end(stream)
