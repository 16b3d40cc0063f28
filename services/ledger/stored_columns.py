"""Rows as a check reads them: bytes and numbers, so that no damaged value can stop it.

Instants come as PostgreSQL sends them: eight bytes, microseconds since 2000.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg import Connection

from services.ledger.hashing import hash_of_columns

ROWS_A_FETCH = 2_000
_YEAR_2000_MICROSECONDS = 946_684_800_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_2000 = date(2000, 1, 1)
_CALENDAR = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_FIRST, _LAST = ((at - _EPOCH) // timedelta(microseconds=1) - _YEAR_2000_MICROSECONDS for at in _CALENDAR)


def scan(
    connection: Connection[Any], query: bytes, name: str, arguments: Mapping[str, Any] | None = None
) -> Iterator[Any]:
    """The rows of a query, a few thousand at a time, however many there are. `name` is the cursor's."""
    with connection.cursor(name, binary=True) as cursor:
        cursor.execute(query, arguments or {})
        while rows := cursor.fetchmany(ROWS_A_FETCH):
            yield from rows


def microseconds(sent: bytes) -> int:
    """Microseconds since 1970 of an instant as it is sent. Infinity becomes a number that no instant has."""
    return int.from_bytes(sent, "big", signed=True) + _YEAR_2000_MICROSECONDS


def is_instant(sent: bytes) -> bool:
    """Whether a calendar has the instant."""
    return _FIRST <= int.from_bytes(sent, "big", signed=True) <= _LAST


def instant(sent: bytes) -> datetime:
    """An instant as it is sent. Raises OverflowError for one that no calendar has."""
    return _EPOCH + timedelta(microseconds=microseconds(sent))


def sent_instant(at: datetime | None) -> bytes | None:
    """An instant as PostgreSQL would send it."""
    if at is None:
        return None
    return ((at - _EPOCH) // timedelta(microseconds=1) - _YEAR_2000_MICROSECONDS).to_bytes(8, "big", signed=True)


def sent_date(day: date) -> bytes:
    """A date as PostgreSQL would send it."""
    return (day - _YEAR_2000).days.to_bytes(4, "big", signed=True)


def try_hash(row: Sequence[Any]) -> bytes | None:
    """The hash of an event from its row; None where a column has a value that no event can have."""
    _, stream_id, version, recorded_at, previous_hash, topic, state = row
    try:
        return hash_of_columns(stream_id, version, microseconds(recorded_at), previous_hash, topic, state)
    except (ValueError, struct.error):
        return None
