"""The check of the read models, row by row, beside the streams that they come from.

Streams and rows both go by in the order of stream ids, so a check keeps the rows of one stream at a time.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from projections.balance import project as balance
from projections.rebuilding.fold import SUBSCRIPTION_EVENTS
from projections.renewal import project as renewal
from services.integrity.findings import BEHIND_EVENTS, END_OF_LEDGER, Findings
from services.ledger.mapper import encode_head
from services.ledger.records import StreamHead
from services.ledger.stored_columns import instant, sent_instant

SHOWN_CHARACTERS = 200


class Stream(Struct):
    """The stream that is going by, as far as it has."""

    id: bytes
    version: int = 0
    position: int = 0
    recorded_at: bytes = b""
    hash: bytes = b""
    state: Any = None
    """The folded state: a subscription's, a dispute's, or None."""
    changed_version: int = 0
    """The last version that moved more than counters."""
    is_broken: bool = False
    """Whether an event could not be folded, so that nothing can be said of the rows."""
    is_subscription: bool = False


class RowsCheck(Protocol):
    """Checks the rows of one table."""

    @property
    def wants(self) -> Collection[type]:
        """The types of the events that it takes."""

    def begin(self, stream: Stream) -> None:
        """A stream begins."""

    def take(self, stream: Stream, event: Any, row: Sequence[Any]) -> None:
        """An event was folded into the stream; `row` is where it comes from."""

    def end(self, stream: Stream) -> None:
        """The stream ends."""

    def finish(self) -> None:
        """No stream is left."""


class Rows:
    """The rows of a table in the order of their streams; each begins with its stream's id, as bytes."""

    def __init__(self, table: str, rows: Iterator[Any], findings: Findings) -> None:
        self.table = table
        self._rows = rows
        self._findings = findings
        self.next: Any = next(rows, None)

    def advance(self) -> Any:
        """The next row, which is behind then."""
        row, self.next = self.next, next(self._rows, None)
        return row

    def of(self, stream_id: bytes) -> list[Any]:
        """The rows of a stream. Those of earlier ones that are left have no events, which is said."""
        self.skip_to(stream_id)
        found = []
        while self.next is not None and self.next[0] == stream_id:
            found.append(self.advance())
        return found

    def skip_to(self, stream_id: bytes | None) -> None:
        """Say of every row before a stream, or of every row, that no event is behind it."""
        while self.next is not None and (stream_id is None or self.next[0] < stream_id):
            self.say_surplus(self.advance())

    def say_surplus(self, row: Any) -> None:
        """Say of a row that no event is behind it."""
        key = " ".join(str(value) for value in row[1:3] if isinstance(value, int | str))
        self._findings.add(END_OF_LEDGER, f"{self.table} row of {UUID(bytes=row[0])} ({key})", "no event is behind it")

    def compare(
        self, stream: Stream, columns: Sequence[str], row: Sequence[Any] | None, expected: Sequence[Any]
    ) -> None:
        """Say where a row differs from what it should be; both without the stream's id."""
        subject = f"{self.table} row of {UUID(bytes=stream.id)}, at its event {stream.position}"
        place = BEHIND_EVENTS + stream.position
        if row is None:
            self._findings.add(place, subject, "not there")
            return
        for column, value, right in zip(columns, row, expected, strict=True):
            if value != right:
                self._findings.add(place, subject, f"{column} is {_shown(value)}, not {_shown(right)}")


class BalanceCheck:
    """One row a subscription, as of its last event."""

    wants: Collection[type] = ()

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def begin(self, stream: Stream) -> None:
        """Nothing yet."""

    def take(self, stream: Stream, event: Any, row: Sequence[Any]) -> None:
        """Nothing yet."""

    def end(self, stream: Stream) -> None:
        """Compare."""
        rows = self._rows.of(stream.id)
        if stream.is_broken:
            return
        if not stream.is_subscription:
            for row in rows:
                self._rows.say_surplus(row)
            return
        right = balance.project(stream.state)
        expected = (
            *(right.version, stream.position, right.plan_id, right.status),
            *(right.granted_credits, right.used_credits, right.reversed_credits, right.carried_credits),
            *(right.cycle_number, sent_instant(right.cycle_starts_at), sent_instant(right.cycle_ends_at)),
            *(sent_instant(right.credits_renew_at), right.test_clock_id),
        )
        columns = (
            "version position plan_id status granted_credits used_credits reversed_credits carried_credits cycle_number"
            " cycle_starts_at cycle_ends_at credits_renew_at test_clock_id"
        )
        self._rows.compare(stream, columns.split(), rows[0][1:] if rows else None, expected)

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)


class RenewalCheck:
    """One row a subscription: the state at its last change, or some charges after it."""

    wants = SUBSCRIPTION_EVENTS

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._row: Any = None
        self._version = 0
        self._right: renewal.RenewalRow | None = None

    def begin(self, stream: Stream) -> None:
        """Learn at which version the row was written."""
        rows = self._rows.of(stream.id)
        self._row, self._right, self._version = (rows[0] if rows else None), None, 0
        try:
            self._version = renewal.state_of(self._row[5]).version if self._row else 0
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._version = -1

    def take(self, stream: Stream, event: Any, row: Sequence[Any]) -> None:
        """Project the row as it must have been written."""
        if stream.version == self._version:
            self._right = renewal.project(stream.state)

    def end(self, stream: Stream) -> None:
        """Compare."""
        if stream.is_broken:
            return
        if not stream.is_subscription:
            if self._row:
                self._rows.say_surplus(self._row)
            return
        if self._right is None or self._version < stream.changed_version:
            self._right = renewal.project(stream.state)
        right = self._right
        expected = (right.account_id, right.status, sent_instant(right.next_due_at), right.test_clock_id, right.state)
        columns = ("account_id", "status", "next_due_at", "test_clock_id", "state")
        self._rows.compare(stream, columns, self._row[1:] if self._row else None, expected)

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)


class SnapshotsCheck:
    """Snapshots: each the head of its stream at its version, since the service decides on what they say."""

    wants = SUBSCRIPTION_EVENTS

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def begin(self, stream: Stream) -> None:
        """Whatever comes before this stream belongs to none."""
        self._rows.skip_to(stream.id)

    def take(self, stream: Stream, event: Any, row: Sequence[Any]) -> None:
        """Compare the snapshot of this version, if there is one."""
        kept = self._rows.next
        if kept is None or kept[1] != stream.version or kept[0] != stream.id:
            return
        self._rows.advance()
        head = StreamHead(UUID(bytes=stream.id), stream.state, stream.hash, instant(stream.recorded_at))
        self._rows.compare(stream, ("originator_version", "state"), kept[1:], (stream.version, encode_head(head)))

    def end(self, stream: Stream) -> None:
        """Snapshots that are left are of versions that the stream has not."""
        for row in self._rows.of(stream.id):
            if not stream.is_broken:
                self._rows.say_surplus(row)

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)


def _shown(value: object) -> str:
    """A value in few characters; bytes that are text as text."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
