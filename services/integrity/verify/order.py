"""Checks the ledger in its order: positions without gaps, and the log over them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import Struct
from psycopg import Connection

from projections.registry import CATCH_UP
from services.integrity.findings import Findings, event_name
from services.integrity.sealing.store import EVENTS
from services.integrity.verify.grounds import Ground, checked
from services.integrity.verify.log import LogCheck, check_refusals
from services.integrity.verify.stored_columns import scan, try_hash
from services.integrity.verify.trust import Trust
from services.ledger.hashing import NO_HASH
from services.postgres.sql import Queries

REPORT_EVENTS = 10_000


class OrderResult(Struct, frozen=True):
    """The counts of a check in order: events, checkpoints, events that they cover; the keys that may sign; grounds."""

    events: int
    last_position: int
    checkpoints: int
    covered: int
    keys: tuple[str, ...]
    grounds: tuple[Ground, ...]


class OrderCheck:
    """Reads the ledger once, in its order."""

    def __init__(
        self, connection: Connection[Any], queries: Queries, findings: Findings, report: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._findings = findings
        self._report = report

    def run(self, trust: Trust) -> OrderResult:
        """Check positions, both logs, the head row and the positions of projections. Raises psycopg.Error."""
        log = LogCheck(self._connection, self._queries, self._findings, trust, EVENTS)
        last = events = 0
        for row in scan(self._connection, self._queries["scan_in_order"], "in_order"):
            position = row[0]
            events += 1
            if position != last + 1:
                self._add_gap(row, last)
            last = max(last, position)
            leaf = try_hash(row)
            if leaf is None:
                self._findings.add(position, event_name(row), "has a column that no event can have")
            log.take(leaf or NO_HASH)
            if events % REPORT_EVENTS == 0:
                self._report(REPORT_EVENTS)
        self._report(events % REPORT_EVENTS)
        self._check_head(last)
        grounds = [
            *log.end(),
            *check_refusals(self._connection, self._queries, self._findings, trust),
            *self._check_positions(last),
        ]
        return OrderResult(events, last, log.count, log.covered, tuple(map(str, log.keys)), tuple(grounds))

    def _add_gap(self, row: Sequence[Any], last: int) -> None:
        position = row[0]
        if position > last:
            missing = f"event {last + 1}" if position == last + 2 else f"events {last + 1} to {position - 1}"
            self._findings.add(last + 1, missing, "not there, though later ones are")
        else:
            reason = "at a position that no event can have, or that another one has"
            self._findings.add(position, event_name(row), reason)

    def _check_head(self, last: int) -> None:
        heads = [head for (head,) in self._connection.execute(self._queries["select_heads"])]
        if heads != [last]:
            stated = ", ".join(map(str, heads)) or "nothing"
            self._findings.add(
                last + 1, f"event {last + 1}", f"the head row says that the last event is {stated}, but it is {last}"
            )

    def _check_positions(self, last: int) -> Iterator[Ground]:
        """Check how far the read models are; one that is behind is told, since its rows are compared up to there."""
        positions = dict(self._connection.execute(self._queries["select_positions"]).fetchall())
        tables = {projection.table for projection in CATCH_UP}
        for table in sorted({*positions, *tables}):
            position, name = positions.get(table, 0), f"the position of {table}"
            if table not in tables:
                self._findings.add(last + 1, name, "is there, and there is no such read model")
            elif not 0 <= position <= last:
                reason = f"says that it has taken event {position}, but the last one is {last}"
                self._findings.add(last + 1, name, reason)
            else:
                behind = f", {last - position:,} behind" if position < last else ""
                yield checked(f"read model {table}", f"up to event {position:,}{behind}")
