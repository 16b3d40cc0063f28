"""A list that is streamed keeps no rows while its client does not read."""

from collections.abc import Iterator, Sequence
from weakref import WeakSet

import pytest
from msgspec import Struct

from services.http.exports import CSV, NDJSON, Format, lines_of


class Row(Struct, weakref=True, frozen=True):
    """A row of a list."""

    number: int


@pytest.mark.parametrize("form", [NDJSON, CSV])
def test_a_stream_that_waits_for_its_reader_keeps_no_rows(form: Format) -> None:
    kept: WeakSet[Row] = WeakSet()

    def pages() -> Iterator[Sequence[Row]]:
        for page in range(3):
            rows = [[Row(page * 10 + number) for number in range(10)]]
            kept.update(rows[0])
            yield rows.pop()

    lines = lines_of(form, ["number"], pages(), lambda row: {"number": row.number})  # type: ignore[attr-defined]
    first = next(lines)

    assert b"9" in first
    assert not kept
    assert b"29" in b"".join(lines)
