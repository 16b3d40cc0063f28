"""Books as files: what is exported is proven against the events, and what was altered is found."""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from projections.engine import Engine
from projections.movements.queries import Interval, MovementQueries
from services.ledger.ledger import utc_now
from services.ledger.mapper import decode_event
from services.postgres.database import connect
from services.process.progress import report_nothing
from services.transfer.books.exporting import BooksExport
from services.transfer.books.form import NoParquet, NotBooks
from services.transfer.books.ndjson import NdjsonWriter
from services.transfer.books.parquet import ParquetWriter
from services.transfer.books.proving import DoesNotAgree, Proof, reader_of
from services.transfer.exporting import NoSuchPosition
from tests.conftest import SCHEMA
from tests.integration.audit.lives import Lives
from tests.processes import tallystick
from tests.waiting import PATIENCE_SECONDS

FORMATS: list[Callable[[Any], Any]] = [NdjsonWriter, ParquetWriter]
Make = Callable[[Any], Any]


@pytest.fixture
def ledger_with_books(lives: Lives, database_url: str, connection: Connection[Any]) -> Connection[Any]:
    lives.go_on(200)
    projector = Engine(lambda: connect(database_url), SCHEMA, decode_event)
    assert projector.catch_up(connection, timeout_seconds=PATIENCE_SECONDS)
    return connection


def exported(connection: Connection[Any], make: Make, after: int = 0) -> bytes:
    file = BytesIO()
    BooksExport(SCHEMA).write(connection, make(file), utc_now(), report_nothing, after)
    return file.getvalue()


def prove(connection: Connection[Any], content: bytes) -> tuple[int, int]:
    head = Proof(SCHEMA).check(connection, reader_of(BytesIO(content)), report_nothing)
    return head.after, head.position


@pytest.mark.parametrize("make", FORMATS)
def test_what_is_exported_is_what_the_events_moved(ledger_with_books: Connection[Any], make: Make) -> None:
    movements = MovementQueries(SCHEMA)
    position = movements.reached(ledger_with_books).position
    reader = reader_of(BytesIO(exported(ledger_with_books, make)))
    rows = list(reader.rows())

    assert prove(ledger_with_books, exported(ledger_with_books, make)) == (0, position)
    totals = movements.totals(ledger_with_books, Interval(position))
    assert sum(row.used_credits for row in rows) == totals.used_credits > 0
    assert sum(row.lapsed_credits for row in rows) == totals.lapsed_credits > 0
    assert sum(row.left_credits for row in rows) == totals.left_credits
    assert [row.position for row in rows] == sorted({row.position for row in rows})


@pytest.mark.parametrize("make", FORMATS)
def test_an_export_goes_on_where_another_ended(
    lives: Lives, ledger_with_books: Connection[Any], database_url: str, make: Make
) -> None:
    first = exported(ledger_with_books, make)
    _, position = prove(ledger_with_books, first)
    assert prove(ledger_with_books, exported(ledger_with_books, make, position)) == (position, position)
    lives.go_on(50)
    projector = Engine(lambda: connect(database_url), SCHEMA, decode_event)
    assert projector.catch_up(ledger_with_books, timeout_seconds=PATIENCE_SECONDS)

    rest = exported(ledger_with_books, make, position)

    assert prove(ledger_with_books, first) == (0, position)
    after, last = prove(ledger_with_books, rest)
    assert (after, last > position) == (position, True)
    whole = [*reader_of(BytesIO(first)).rows(), *reader_of(BytesIO(rest)).rows()]
    assert whole == list(reader_of(BytesIO(exported(ledger_with_books, make))).rows())
    with pytest.raises(NoSuchPosition, match=f"there is nothing after {last + 1}"):
        exported(ledger_with_books, make, last + 1)


def test_any_altered_byte_of_ndjson_is_found(ledger_with_books: Connection[Any]) -> None:
    content = exported(ledger_with_books, NdjsonWriter)
    lines = content.splitlines(keepends=True)
    for number in (0, 1, len(lines) // 2, len(lines) - 1):
        start = sum(map(len, lines[:number]))
        for place in range(start, start + len(lines[number]), 11):
            altered = bytearray(content)
            altered[place] ^= 1
            with pytest.raises((NotBooks, DoesNotAgree)):
                prove(ledger_with_books, bytes(altered))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: [*lines[:5], *lines[6:]], "is missing"),
        (lambda lines: [*lines[:5], lines[4], *lines[5:]], "comes twice"),
        (lambda lines: lines[:-1], "the end is missing"),
        (lambda lines: [*lines, b"{}\n"], "something comes after the end"),
        (lambda lines: [*lines[:3], _with(lines[3], used_credits=7), *lines[4:]], "used_credits is 7, and by the"),
        (lambda lines: [_with(lines[0], hash="0" * 64), *lines[1:]], "another hash here"),
        (lambda lines: [_with(lines[0], position=10**6), *lines[1:]], "the ledger has no event 1000000"),
        (lambda lines: [_with(lines[0], form=2), *lines[1:]], "this program reads form 1"),
        (lambda lines: [*lines[:-1], _with(lines[-1], used_credits=1)], "the end does not fit the rows"),
        (lambda _lines: [b'{"kind":"tallystick_export"}\n'], "line 1"),
        (lambda _lines: [], "line 1"),
    ],
)
def test_a_file_that_was_altered_is_told_where(
    ledger_with_books: Connection[Any], change: Callable[[list[bytes]], list[bytes]], reason: str
) -> None:
    lines = exported(ledger_with_books, NdjsonWriter).splitlines(keepends=True)
    with pytest.raises((NotBooks, DoesNotAgree), match=reason):
        prove(ledger_with_books, b"".join(change(lines)))


def _with(line: bytes, **changed: Any) -> bytes:
    return json.dumps({**json.loads(line), **changed}, separators=(",", ":")).encode() + b"\n"


def test_an_altered_parquet_file_is_found(ledger_with_books: Connection[Any]) -> None:
    compute, parquet = import_module("pyarrow.compute"), import_module("pyarrow.parquet")

    content = exported(ledger_with_books, ParquetWriter)
    table = parquet.read_table(BytesIO(content))
    more = table.set_column(
        table.schema.get_field_index("used_credits"),
        table.schema.field("used_credits"),
        compute.add(table["used_credits"], 1),
    )
    for altered, reason in ((more, "used_credits is 1, and by the ledger 0"), (table.slice(1), "is missing")):
        file = BytesIO()
        with parquet.ParquetWriter(file, table.schema) as writer:
            writer.write_table(altered)
            writer.add_key_value_metadata(parquet.ParquetFile(BytesIO(content)).metadata.metadata)
        with pytest.raises((NotBooks, DoesNotAgree), match=reason):
            prove(ledger_with_books, file.getvalue())
    file = BytesIO()
    parquet.write_table(table, file)
    with pytest.raises(NotBooks, match="it is no file of books"):
        prove(ledger_with_books, file.getvalue())
    for place in (20, len(content) // 3, len(content) - 5):
        broken = bytearray(content)
        broken[place] ^= 1
        with pytest.raises((NotBooks, DoesNotAgree)):
            prove(ledger_with_books, bytes(broken))


def test_without_pyarrow_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NoParquet, match=r"pip install 'tallystick\[parquet\]'"):
        ParquetWriter(BytesIO())


def test_the_commands_write_and_prove_files_and_find_a_gap(
    lives: Lives, ledger_with_books: Connection[Any], database_url: str, tmp_path: Path
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        ended = tallystick(*arguments, folder=tmp_path, database_url=database_url)
        return ended.returncode, ended.stdout + ended.stderr

    status, said = run("export-books", "all.parquet")
    position = MovementQueries(SCHEMA).reached(ledger_with_books).position
    assert (status, f"up to {position:,}" in said) == (0, True), said
    assert run("export-books", "rest.ndjson", "--after", str(position))[0] == 0
    assert run("export-books", "all.parquet")[0] == 2
    assert run("export-books", "later.ndjson", "--after", str(position + 5))[0] == 1

    status, said = run("verify-export", "all.parquet", "rest.ndjson")
    assert (status, said.count("every row is what its event moved")) == (0, 2), said
    (tmp_path / "altered.ndjson").write_bytes((tmp_path / "rest.ndjson").read_bytes().replace(b"0", b"1", 1))
    status, said = run("verify-export", "all.parquet", "altered.ndjson")
    assert (status, "altered.ndjson: " in said) == (1, True), said
    assert run("verify-export", "nothing.ndjson")[0] == 2
