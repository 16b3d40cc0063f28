"""The check of the read models whose rows come from single events."""

from collections.abc import Sequence
from operator import add
from typing import Any
from uuid import UUID

from msgspec.structs import asdict, astuple, replace

from projections.charges.project import CHARGES, ChargeRow
from projections.declaration import CatchUp, EventRows, LedgerEvent, Sums
from projections.ledger_events import MAX_POSITION
from services.integrity.findings import BEHIND_EVENTS, Findings, event_name
from services.integrity.verify.rows import Rows, RowsCheck, Stream, sent
from services.subscription.events import ChargeReversed, GenerationCharged


def check_of(projection: CatchUp, rows: Rows, charges: "ChargesCheck", until: int = MAX_POSITION) -> RowsCheck:
    """The check of a projection that says that it has come to the position `until`."""
    if isinstance(projection, Sums):
        return SumsCheck(projection, rows, charges, until)
    return EventRowsCheck(projection, rows, until)


class ChargesCheck:
    """One row a charge, with the version that gave it back, where one did.

    A stream may have very many, so rows and events go by together, both in the order of the charges.
    """

    wants = CHARGES.events

    def __init__(self, rows: Rows, findings: Findings) -> None:
        self._rows = rows
        self._findings = findings
        self._marked: dict[int, GenerationCharged] = {}
        self.given_back: GenerationCharged | None = None
        """The charge that the event taken last gave back."""

    def begin(self, stream: Stream) -> None:
        """Whatever comes before this stream belongs to none."""
        self._rows.skip_to(stream.id)
        self._marked.clear()

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Find the row of a charge, and the charge of a reversal."""
        self.given_back = None
        if isinstance(event.event, GenerationCharged):
            self._find_row(stream, event, row)
        elif isinstance(event.event, ChargeReversed):
            charge = self._marked.pop(stream.version, None)
            if charge is None or charge.generation_id != event.event.generation_id:
                reason = f"no charges row of {event.event.generation_id} says that it was given back here"
                self._findings.add(stream.position, event_name(row), reason)
                return
            self.given_back = charge
            if charge.credits != event.event.credits:
                reason = f"gives {event.event.credits} credits back for a charge of {charge.credits}"
                self._findings.add(stream.position, event_name(row), reason)

    def end(self, stream: Stream) -> None:
        """Rows that are left have no charge; marks that are left have no reversal."""
        for row in self._rows.of(stream.id):
            if not stream.is_broken:
                self._rows.say_surplus(row)
        for version, charge in self._marked.items():
            if not stream.is_broken:
                self._say_wrong_mark(stream, charge, version)

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)

    def _find_row(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        right = CHARGES.project(event)
        assert isinstance(right, ChargeRow)
        rows = self._rows
        while rows.next is not None and rows.next[0] == stream.id and rows.next[1] < right.version:
            rows.say_surplus(rows.advance())
        if rows.next is None or rows.next[0] != stream.id or rows.next[1] != right.version:
            self._findings.add(stream.position, event_name(row), "has no row in charges")
            return
        _, _, generation_id, reversed_in_version = rows.advance()
        if generation_id != right.generation_id:
            self._findings.add(stream.position, event_name(row), f"its charges row is of generation {generation_id}")
        if reversed_in_version is None:
            return
        if reversed_in_version <= stream.version or reversed_in_version in self._marked:
            self._say_wrong_mark(stream, event.event, reversed_in_version)
        else:
            self._marked[reversed_in_version] = event.event

    def _say_wrong_mark(self, stream: Stream, charge: GenerationCharged, version: int) -> None:
        subject = f"charges row of {UUID(bytes=stream.id)} ({charge.generation_id})"
        self._findings.add(
            BEHIND_EVENTS + stream.position, subject, f"says that version {version} gave it back, which is not so"
        )


class _KeyedRowsCheck:
    """The rows of a stream, of a projection that says that it has come to the position `until`."""

    def __init__(self, projection: CatchUp, rows: Rows, until: int) -> None:
        self.wants = projection.events
        self._columns = projection.all_columns[1:]
        self._names = [column.name for column in self._columns]
        self._key = [self._names.index(name) for name in projection.key]
        self._rows = rows
        self._until = until
        self._right: dict[tuple[Any, ...], list[Any]] = {}
        """By key, the rows that there should be, without the stream's id."""
        self._is_known = True
        """Whether it is known which rows there should be."""

    def begin(self, stream: Stream) -> None:
        """No row is there yet."""
        self._right, self._is_known = {}, True

    def end(self, stream: Stream) -> None:
        """Compare."""
        rows = {tuple(row[place + 1] for place in self._key): row for row in self._rows.of(stream.id)}
        if stream.is_broken or not self._is_known:
            return
        for right in self._right.values():
            expected = sent(self._columns, right)
            row = rows.pop(tuple(expected[place] for place in self._key), None)
            self._rows.compare(stream, self._names, row[1:] if row else None, expected)
        for row in rows.values():
            self._rows.say_surplus(row)

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)


class EventRowsCheck(_KeyedRowsCheck):
    """Rows that are made and changed by single events."""

    def __init__(self, projection: EventRows[LedgerEvent], rows: Rows, until: int) -> None:
        super().__init__(projection, rows, until)
        self._projection = projection

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Make the row, or change it."""
        if stream.position > self._until or (made := self._projection.project(event)) is None:
            return
        values = asdict(made)
        key = tuple(values[name] for name in self._projection.key)
        if isinstance(made, self._projection.row):
            self._right[key] = [values.get(name) for name in self._names]
        elif right := self._right.get(key):
            for name, value in values.items():
                right[self._names.index(name)] = value


class SumsCheck(_KeyedRowsCheck):
    """Rows that add up what events say."""

    def __init__(self, projection: Sums, rows: Rows, charges: ChargesCheck, until: int) -> None:
        super().__init__(projection, rows, until)
        self._projection = projection
        self._charges = charges

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Count. Runs after the check of charges, which finds what was given back."""
        if stream.position > self._until:
            return
        if isinstance(event.event, ChargeReversed):
            event = replace(event, reversed_charge=self._charges.given_back)
            if event.reversed_charge is None:
                self._is_known = False
                return
        added = astuple(self._projection.project(event))
        length = len(self._key)
        key, sums = added[:length], added[length:]
        if before := self._right.get(key):
            sums = tuple(map(add, before[length:], sums))
        self._right[key] = [*key, *sums]
