"""Reads rows as bytes and numbers, so that no damaged value can stop a check.

Instants come as PostgreSQL sends them: eight bytes, microseconds since 2000.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg import Connection

from services.ledger.hashing import hash_of_columns, microseconds_since_epoch

ROWS_A_FETCH = 2_000
_YEAR_2000_MICROSECONDS = 946_684_800_000_000
_YEAR_2000 = date(2000, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = microseconds_since_epoch(datetime.min.replace(tzinfo=UTC))
_LAST = microseconds_since_epoch(datetime.max.replace(tzinfo=UTC))


def scan(
    connection: Connection[Any], query: bytes, name: str, arguments: Mapping[str, Any] | None = None
) -> Iterator[Any]:
    """Yield the rows of a query, fetched ROWS_A_FETCH at a time. `name` is the cursor's."""
    with connection.cursor(name, binary=True) as cursor:
        cursor.execute(query, arguments or {})
        while rows := cursor.fetchmany(ROWS_A_FETCH):
            yield from rows


def microseconds_of(column: bytes) -> int:
    """The microseconds since 1970 of an instant's bytes. Infinity becomes a number outside the calendar."""
    return int.from_bytes(column, "big", signed=True) + _YEAR_2000_MICROSECONDS


def is_instant(column: bytes) -> bool:
    """Whether the bytes are an instant of the calendar."""
    return _FIRST <= microseconds_of(column) <= _LAST


def instant_of(column: bytes) -> datetime:
    """The instant of its bytes. Raises OverflowError for one outside the calendar."""
    return _EPOCH + timedelta(microseconds=microseconds_of(column))


def instant_bytes(at: datetime) -> bytes:
    """The bytes of an instant, as PostgreSQL sends it."""
    return (microseconds_since_epoch(at) - _YEAR_2000_MICROSECONDS).to_bytes(8, "big", signed=True)


def date_bytes(day: date) -> bytes:
    """The bytes of a date, as PostgreSQL sends it."""
    return (day - _YEAR_2000).days.to_bytes(4, "big", signed=True)


def try_hash(row: Sequence[Any]) -> bytes | None:
    """The hash of an event, computed from its row; None where a column has a value that no event can have."""
    _, stream_id, version, recorded_at, previous_hash, topic, state = row
    try:
        return hash_of_columns(stream_id, version, microseconds_of(recorded_at), previous_hash, topic, state)
    except (ValueError, struct.error):
        return None
