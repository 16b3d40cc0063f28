"""Arrays in our own encoding arrive in PostgreSQL unchanged, whatever is in them."""

import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from services.postgres.arrays import Array, Bigints, Blobs, Instants, Texts, Uuids
from services.postgres.database import connect

AT = datetime(2026, 1, 15, 12, 0, 0, 123_456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("array", "type_name", "values"),
    [
        (Bigints, "bigint", [0, 1, -1, 2**63 - 1, -(2**63)]),
        (Uuids, "uuid", [UUID(int=0), UUID(int=2**128 - 1), UUID("00000000-0000-4000-8000-00000000002a")]),
        (Texts, "text", ["", "track", "Ähre ♪ 𝄞", '{"a",NULL}', "\\", "x" * 100_000]),
        (Blobs, "bytea", [b"", b"\0\xff", bytes(32)]),
        (Instants, "timestamptz", [AT, datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]),
    ],
)
@pytest.mark.parametrize("count", [0, 1, 3, 1_000])
def test_every_value_arrives_unchanged(
    database_url: str, array: type[Array], type_name: str, values: list[Any], count: int
) -> None:
    sent = (values * count)[: max(count, len(values)) if count else 0]
    with connect(database_url) as connection:
        row = connection.execute(f"SELECT %(sent)b::{type_name}[]".encode(), {"sent": array(sent)}).fetchone()

    assert row == (sent,)


def test_an_instant_of_another_zone_is_the_same_instant(database_url: str) -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=45)))
    with connect(database_url) as connection:
        row = connection.execute("SELECT %(sent)b::timestamptz[]", {"sent": Instants([elsewhere])}).fetchone()

    assert row == ([AT],)


@pytest.mark.parametrize(
    ("array", "error"), [(Bigints([2**63]), struct.error), (Texts(["half \ud83d"]), UnicodeEncodeError)]
)
def test_a_value_that_cannot_be_encoded_is_refused_before_it_is_sent(array: Array, error: type[Exception]) -> None:
    with pytest.raises(error):
        bytes(array)
