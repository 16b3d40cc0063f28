"""The leaves of the two logs: the hashes of the events in the order of the ledger, and those of the refusals.

The entry of a refusal is one line of JSON, its keys in alphabetical order and without spaces; `settings` stand as
PostgreSQL writes them. Its number is its place in the log, from 1.
"""

from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
from msgspec import Raw
from psycopg import Connection

from services.integrity.sealing.store import EVENTS, REFUSALS, LogName
from services.integrity.verify.stored_columns import try_hash
from services.log.tree import leaf_hash
from services.postgres.sql import load_queries

NUMBERED_AT_ONCE = 10_000


class BadEntry(RuntimeError):
    """An entry is missing, or has a column that none can have: nothing is signed over it."""


class Entries(Protocol):
    """What is recorded in one log."""

    log: LogName

    def count(self, connection: Connection[Any]) -> int:
        """How many entries there are by now, without a gap."""

    def leaves(self, connection: Connection[Any], after: int, to: int) -> list[bytes]:
        """The leaf hashes of the entries above a number up to another. Raises BadEntry."""


class EventEntries:
    """The events, by position."""

    log: LogName = EVENTS

    def __init__(self, schema: str) -> None:
        self._queries = load_queries(__file__, "log.sql", schema=schema)

    def count(self, connection: Connection[Any]) -> int:
        """The position of the last event."""
        row = connection.execute(self._queries["last_position"]).fetchone()
        assert row is not None, "a migration put the head row there"
        return int(row[0])

    def leaves(self, connection: Connection[Any], after: int, to: int) -> list[bytes]:
        """The hashes of the events above a position up to another. Raises BadEntry."""
        with connection.cursor(binary=True) as cursor:
            rows = cursor.execute(self._queries["select_events"], {"after": after, "to": to}).fetchall()
        _require_all([row[0] for row in rows], after, to, "event")
        hashes = [try_hash(row) for row in rows]
        for position, each in enumerate(hashes, start=after + 1):
            if each is None:
                raise BadEntry(f"event {position} has a column that no event can have: nothing is signed over it")
        return [each for each in hashes if each is not None]


class RefusalEntries:
    """The refusals, by the number that each gets here."""

    log: LogName = REFUSALS

    def __init__(self, schema: str) -> None:
        self._queries = load_queries(__file__, "log.sql", schema=schema)

    def count(self, connection: Connection[Any]) -> int:
        """Number what is not numbered yet, and return the last number."""
        if self.numbered(connection) == 0:
            connection.execute(self._queries["number_first_refusals"])
        while connection.execute(self._queries["number_refusals"], {"limit": NUMBERED_AT_ONCE}).rowcount:
            pass
        return self.numbered(connection)

    def leaves(self, connection: Connection[Any], after: int, to: int) -> list[bytes]:
        """The leaf hashes of the refusals above a number up to another. Raises BadEntry."""
        rows = connection.execute(self._queries["select_refusals"], {"after": after, "to": to}).fetchall()
        _require_all([row[0] for row in rows], after, to, "refusal")
        return [leaf_hash(refusal_entry(*row)) for row in rows]

    def numbered(self, connection: Connection[Any]) -> int:
        """The number of the last refusal that has one."""
        row = connection.execute(self._queries["last_refusal_number"]).fetchone()
        assert row is not None, "an aggregate has a row"
        return int(row[0])


def refusal_entry(
    number: int,
    subscription_id: UUID,
    generation_id: str,
    version: int,
    model: str | None,
    settings: str,
    code: str,
    required_credits: int | None,
    balance_credits: int,
    refused_at: datetime,
    op: str,
    available_credits: int | None,
) -> bytes:
    """The entry of a refusal, from its columns. Raises BadEntry where the row is gone."""
    if model is None:
        raise BadEntry(f"refusal {number} is not there any more: nothing is signed over it")
    entry = {
        "number": number,
        "subscription_id": subscription_id,
        "generation_id": generation_id,
        "version": version,
        "model": model,
        "settings": Raw(settings.encode()),
        "code": code,
        "required_credits": required_credits,
        "balance_credits": balance_credits,
        "refused_at": refused_at.astimezone(UTC),
        "op": op,
        "available_credits": available_credits,
    }
    return msgspec.json.encode(entry, order="sorted")


def _require_all(numbers: list[int], after: int, to: int, what: str) -> None:
    for expected, number in enumerate(numbers, start=after + 1):
        if number != expected:
            raise BadEntry(f"there is no {what} {expected}: nothing is signed over a gap")
    if after + len(numbers) != to:
        raise BadEntry(f"there is no {what} {after + len(numbers) + 1}: nothing is signed over a gap")
