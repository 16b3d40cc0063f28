"""What projections declare, and what follows from it: columns, statements, rows, sums. No database."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from msgspec import Struct
from msgspec.structs import replace

import projections
from projections.charges.project import CHARGES, ChargeReversal, ChargeRow
from projections.cycles.project import CYCLES, CycleRenewal, CycleRow
from projections.declaration import Column, EventRows, LedgerEvent, Projection, StateRows, Sums, columns_of
from projections.disputes.project import DISPUTES, DisputeResolution, DisputeRow
from projections.registry import CATCH_UP, PROJECTIONS
from projections.usage.project import USAGE, UsageRow
from projections.writers import EventRowsWriter, Totals
from services.dispute.events import DisputeOpened, DisputeResolved
from services.subscription.events import ChargeReversed
from tests.unit.subscription.scenario import play

STREAM = UUID(int=7)
CHARGE = play("""
    2024-01-31 | start ai-suite-40000-monthly | balance 40,000
    2024-02-05 | generate lyria-3 as track    | balance 39,850  version 3
""").charges["track"]
REVERSAL = ChargeReversed("track", "dispute", CHARGE.credits, "current_cycle", cycle_number=1, balance_after=40_000)
LAST_MOMENT = datetime(2026, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)


def placed(event: Any, position: int = 5, version: int = 3, at: datetime = LAST_MOMENT) -> LedgerEvent:
    return LedgerEvent(position, STREAM.bytes, version, at, event)


class Executed:
    """Stands for a connection, and notes what it is to execute."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Mapping[str, Any]]] = []

    def execute(self, query: bytes, arguments: Mapping[str, Any], /) -> None:
        self.statements.append((query.decode(), arguments))


def test_every_folder_with_a_declaration_is_listed() -> None:
    """A projection that `registry.py` does not list would be written and checked by nobody."""
    folders = [path.parent.name for path in Path(projections.__path__[0]).glob("*/project.py")]
    declared = [
        value
        for folder in folders
        for value in vars(import_module(f"projections.{folder}.project")).values()
        if isinstance(value, Projection)
    ]
    assert sorted(folders) == sorted(each.table for each in declared) == sorted(each.table for each in PROJECTIONS)
    assert all(each in PROJECTIONS for each in declared)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda each: each.table)
def test_every_declaration_is_sound(projection: StateRows | EventRows[LedgerEvent] | Sums) -> None:
    names = [column.name for column in projection.all_columns]
    assert len(set(names)) == len(names)
    assert set(projection.key) <= set(names)
    match projection:
        case StateRows():
            assert projection.has_counters or "position" not in names, "only `move_balances` knows positions"
        case EventRows():
            changed = [column.name for kind in projection.changes for column in columns_of(kind)]
            changed = [name for name in changed if name not in projection.key]
            assert len(set(changed)) == len(changed), "no column is changed by two kinds of changes"
        case Sums():
            assert tuple(names[1 : 1 + len(projection.key)]) == projection.key, "the key comes first"
            assert {column.type for column in projection.columns[1 + len(projection.key) :]} == {"int8"}


def test_columns_follow_from_annotations() -> None:
    class Row(Struct):
        number: int
        text: str | None
        kind: Literal["a", "b"]
        at: datetime
        day: date
        id: UUID
        blob: bytes | None

    assert columns_of(Row) == (
        Column("number", "int8"),
        Column("text", "text", is_nullable=True),
        Column("kind", "text"),
        Column("at", "timestamptz"),
        Column("day", "date"),
        Column("id", "uuid"),
        Column("blob", "bytea", is_nullable=True),
    )


@pytest.mark.parametrize("annotation", [float, list[str], int | str])
def test_a_type_that_no_column_can_have_is_refused(annotation: Any) -> None:
    class Row(Struct):
        value: annotation

    with pytest.raises(TypeError, match=r"Row\.value is of a type that has no column"):
        columns_of(Row)


def test_a_charge_makes_a_row_and_its_reversal_changes_it() -> None:
    assert CHARGES.project(placed(CHARGE, version=3)) == ChargeRow(3, "track")
    assert CHARGES.project(placed(REVERSAL, version=9)) == ChargeReversal("track", 9)
    assert CHARGES.all_columns == (
        Column("subscription_id", "uuid"),
        Column("version", "int8"),
        Column("generation_id", "text"),
        Column("captured_in_version", "int8", is_nullable=True),
        Column("released_in_version", "int8", is_nullable=True),
        Column("expired_in_version", "int8", is_nullable=True),
        Column("reversed_in_version", "int8", is_nullable=True),
    )


def test_a_dispute_makes_a_row_and_its_resolution_changes_it() -> None:
    opening = DisputeOpened(STREAM, "track", charge_version=3, reason="duplicate", note="Twice!")
    opened = DISPUTES.project(placed(opening, position=8, version=1))
    assert opened == DisputeRow(8, 1, LAST_MOMENT, STREAM, "track", "duplicate", "open")
    resolution = DisputeResolved("upheld", "So it was.", "current_cycle")
    assert DISPUTES.project(placed(resolution, position=9, version=2)) == DisputeResolution(2, "upheld")


def test_the_last_of_several_changes_of_a_row_is_how_it_ends() -> None:
    class Row(Struct, frozen=True):
        name: str
        status: str

    class Change(Struct, frozen=True):
        name: str
        status: str

    rows = [
        Row("a", "new"),
        Change("a", "first"),
        Change("b", "first"),
        Change("a", "second"),
    ]
    projection = EventRows[Any](
        table="things", row=Row, key=("name",), changes=(Change,), events=frozenset(), project=lambda each: None
    )
    executed = Executed()
    EventRowsWriter(projection, "tallystick").write(executed, [(STREAM, row) for row in rows])

    (insert, new), (update, changed) = executed.statements
    assert insert.startswith('INSERT INTO "tallystick"."things" ("subscription_id", "name", "status")')
    assert update.startswith('UPDATE "tallystick"."things" AS t SET "status" = r."status" FROM unnest(')
    assert update.endswith('WHERE t."subscription_id" = r."subscription_id" AND t."name" = r."name"')
    assert [b"new" in bytes(new["status"]), b"second" in bytes(changed["status"])] == [True, True]
    assert b"first" in bytes(changed["status"]), "b's"
    assert bytes(changed["name"]).endswith(b"b")


def test_nothing_is_executed_for_no_rows() -> None:
    executed = Executed()
    EventRowsWriter(CHARGES, "tallystick").write(executed, [])
    assert executed.statements == []


def test_usage_counts_on_the_day_of_utc_and_a_reversal_on_its_own_day() -> None:
    next_day = datetime(2026, 4, 1, tzinfo=UTC)
    charge = replace(placed(replace(CHARGE, member="ada")), plan_id="small")
    given_back_later = replace(REVERSAL, cycle_number=2)
    reversal = LedgerEvent(7, STREAM.bytes, 5, next_day, given_back_later, replace(CHARGE, member="ada"), "large")

    totals = Totals(USAGE)
    for each in (charge, charge, reversal):
        totals.add(each)

    march, april = date(2026, 3, 31), date(2026, 4, 1)
    assert USAGE.project(reversal) == UsageRow(april, 2, "large", "lyria-3", "music", "ada", reversed_credits=150)
    assert dict(totals) == {
        (STREAM.bytes, march, 1, "small", "lyria-3", "music", "ada"): (2, 300, 0),
        (STREAM.bytes, april, 2, "large", "lyria-3", "music", "ada"): (0, 0, 150),
    }


def test_a_cycle_is_a_row_and_the_renewal_after_its_reset_names_the_plan() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-yearly    | balance 40,000
        2024-02-10 | upgrade max-pro-40000-monthly  | balance 40,000
        2024-03-10 | record                         | balance 40,000
    """)
    made = [
        row
        for version, (at, event) in enumerate(history.recorded, start=1)
        if (row := CYCLES.project(placed(event, version=version, at=at))) is not None
    ]

    assert made == [
        CycleRow(1, 1, "ai-suite-40000-yearly"),
        CycleRow(3, 2, "max-pro-40000-monthly"),
        CycleRow(4, 3, None),
        CycleRenewal(4, "max-pro-40000-monthly"),
    ]


def test_only_projections_that_catch_up_add_up() -> None:
    assert all(each in CATCH_UP for each in PROJECTIONS if isinstance(each, Sums))
