"""Checks the read models whose rows come from single events."""

from collections.abc import Sequence
from operator import add
from typing import Any
from uuid import UUID

from msgspec.structs import asdict, astuple, replace

from projections.charges.project import CHARGES, ChargeRow
from projections.declaration import MAX_POSITION, CatchUp, EventRows, LedgerEvent, Sums
from projections.movements.project import MOVEMENTS
from services.integrity.findings import BEHIND_EVENTS, Findings, event_name
from services.integrity.verify.rows import Rows, RowsCheck, Stream, as_scanned
from services.subscription.events import ChargeReversed, GenerationCharged

_MARKS = {column.name: column.name.partition("_")[0] for column in CHARGES.all_columns[len(CHARGES.columns) :]}
"""The columns that say in which version something became of a generation, and what: captured, released, reversed."""


def check_of(projection: CatchUp, rows: Rows, charges: "ChargesCheck", until: int = MAX_POSITION) -> RowsCheck:
    """The check of a projection whose stored position is `until`."""
    if isinstance(projection, Sums):
        return SumsCheck(projection, rows, charges, until)
    if projection == MOVEMENTS:
        return MovementsCheck(rows, until)
    return EventRowsCheck(projection, rows, until)


class _Generation:
    """A generation as its row and its events have it so far: what took its id, and its charge."""

    def __init__(self, generation_id: str, charge: GenerationCharged | None) -> None:
        self.generation_id = generation_id
        self.charge = charge


class ChargesCheck(RowsCheck):
    """Checks that each charge and each hold has one row, with the versions of what became of it.

    A stream may have very many charges, so rows and events are read side by side, in the order of the events.
    """

    event_types = CHARGES.events

    def __init__(self, rows: Rows, findings: Findings) -> None:
        super().__init__(rows)
        self._findings = findings
        self._marked: dict[int, tuple[str, _Generation]] = {}
        """What rows say of later versions: the column that says so, and the generation."""
        self.reversed_charge: GenerationCharged | None = None
        """The charge that the last event reversed."""

    def begin(self, stream: Stream) -> None:
        """Begin a stream without marks."""
        super().begin(stream)
        self._marked.clear()

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Find the row of a charge or hold, or the generation that a later event is about."""
        self.reversed_charge = None
        match CHARGES.project(event):
            case ChargeRow() as expected:
                self._find_row(stream, event, row, expected)
            case None:
                pass
            case change:
                column = next(name for name in change.__struct_fields__ if name not in CHARGES.key)
                self._find_mark(stream, event, row, column)

    def end(self, stream: Stream) -> None:
        """Add a finding for each row that is left, since it has no event, and for each mark that no event bears out."""
        super().end(stream)
        for version, (column, generation) in self._marked.items():
            if not stream.is_broken:
                self._add_wrong_mark(stream, generation, column, version)

    def _find_row(self, stream: Stream, event: LedgerEvent, row: Sequence[Any], expected: ChargeRow) -> None:
        rows = self._rows
        while rows.next is not None and rows.next[0] == stream.id and rows.next[1] < expected.version:
            rows.add_surplus(rows.advance())
        if rows.next is None or rows.next[0] != stream.id or rows.next[1] != expected.version:
            self._findings.add(stream.position, event_name(row), "has no row in charges")
            return
        _, _, generation_id, *versions = rows.advance()
        if generation_id != expected.generation_id:
            self._findings.add(stream.position, event_name(row), f"its charges row is of generation {generation_id}")
        charge = event.event if isinstance(event.event, GenerationCharged) else None
        generation = _Generation(expected.generation_id, charge)
        for column, version in zip(_MARKS, versions, strict=True):
            if version is None:
                continue
            if version <= stream.version or version in self._marked:
                self._add_wrong_mark(stream, generation, column, version)
            else:
                self._marked[version] = column, generation

    def _find_mark(self, stream: Stream, event: LedgerEvent, row: Sequence[Any], column: str) -> None:
        marked, generation = self._marked.pop(stream.version, ("", None))
        generation_id = event.event.generation_id
        if generation is None or marked != column or generation.generation_id != generation_id:
            reason = f"no charges row of {generation_id} says that it was {_MARKS[column]} here"
            self._findings.add(stream.position, event_name(row), reason)
        elif isinstance(event.event, GenerationCharged):
            generation.charge = event.event
        elif isinstance(event.event, ChargeReversed):
            self._check_reversal(stream, event.event, row, generation)

    def _check_reversal(
        self, stream: Stream, event: ChargeReversed, row: Sequence[Any], generation: _Generation
    ) -> None:
        self.reversed_charge = charge = generation.charge
        if charge is None:
            self._findings.add(stream.position, event_name(row), "gives credits back for what was not charged")
        elif not 0 < event.credits <= charge.credits:
            reason = f"gives {event.credits} credits back for a charge of {charge.credits}"
            self._findings.add(stream.position, event_name(row), reason)

    def _add_wrong_mark(self, stream: Stream, generation: _Generation, column: str, version: int) -> None:
        subject = f"charges row of {UUID(bytes=stream.id)} ({generation.generation_id})"
        reason = f"says that it was {_MARKS[column]} in version {version}, which is not so"
        self._findings.add(BEHIND_EVENTS + stream.position, subject, reason)


class _KeyedRowsCheck(RowsCheck):
    """Compares the rows of each stream with those that its events up to the position `until` make."""

    def __init__(self, projection: CatchUp, rows: Rows, until: int) -> None:
        super().__init__(rows)
        self.event_types = projection.events
        self._columns = projection.all_columns[1:]
        self._names = [column.name for column in self._columns]
        self._key = [self._names.index(name) for name in projection.key]
        self._until = until
        self._expected: dict[tuple[Any, ...], list[Any]] = {}
        """The rows that the events make, by key, without the stream's id."""
        self._is_complete = True
        """Whether all of these rows are known."""

    def begin(self, stream: Stream) -> None:
        """Forget the rows of the stream before."""
        self._expected, self._is_complete = {}, True

    def end(self, stream: Stream) -> None:
        """Compare the rows with those that the events make."""
        rows = {tuple(row[place + 1] for place in self._key): row for row in self._rows.of(stream.id)}
        if stream.is_broken or not self._is_complete:
            return
        for values in self._expected.values():
            expected = as_scanned(self._columns, values)
            row = rows.pop(tuple(expected[place] for place in self._key), None)
            self._rows.compare(stream, self._names, row[1:] if row else None, expected)
        for row in rows.values():
            self._rows.add_surplus(row)


class EventRowsCheck(_KeyedRowsCheck):
    """Checks rows that single events make and change."""

    def __init__(self, projection: EventRows[LedgerEvent], rows: Rows, until: int) -> None:
        super().__init__(projection, rows, until)
        self._projection = projection

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Make or change the row of an event."""
        if stream.position > self._until or (change := self._projection.project(event)) is None:
            return
        values = asdict(change)
        key = tuple(values[name] for name in self._projection.key)
        if isinstance(change, self._projection.row):
            self._expected[key] = [values.get(name) for name in self._names]
        elif row_values := self._expected.get(key):
            for name, value in values.items():
                row_values[self._names.index(name)] = value


class SumsCheck(_KeyedRowsCheck):
    """Checks rows that are sums over events."""

    def __init__(self, projection: Sums, rows: Rows, charges: ChargesCheck, until: int) -> None:
        super().__init__(projection, rows, until)
        self._projection = projection
        self._charges = charges

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Add an event to its sum. It runs after the check of charges, which knows the charge of a reversal."""
        if stream.position > self._until:
            return
        if isinstance(event.event, ChargeReversed):
            event = replace(event, reversed_charge=self._charges.reversed_charge)
            if event.reversed_charge is None:
                self._is_complete = False
                return
        added = astuple(self._projection.project(replace(event, plan_id=stream.state.plan.plan_id)))
        length = len(self._key)
        key, sums = added[:length], added[length:]
        if before := self._expected.get(key):
            sums = tuple(map(add, before[length:], sums))
        self._expected[key] = [*key, *sums]


class MovementsCheck(RowsCheck):
    """Checks that each event up to the position `until` that moves credits has its row.

    A stream has about as many rows as events, so they are read side by side, in the order of positions.
    """

    event_types = MOVEMENTS.events

    def __init__(self, rows: Rows, until: int) -> None:
        super().__init__(rows)
        self._until = until
        self._columns = MOVEMENTS.columns[1:]
        self._names = [column.name for column in self._columns]

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Compare the row of an event."""
        if stream.position > self._until or (expected := MOVEMENTS.project(event)) is None:
            return
        rows = self._rows
        while (found := rows.next) is not None and found[0] == stream.id and found[1] < stream.position:
            rows.add_surplus(rows.advance())
        stored = None
        if found is not None and found[0] == stream.id and found[1] == stream.position:
            stored = rows.advance()[1:]
        rows.compare(stream, self._names, stored, as_scanned(self._columns, astuple(expected)))
