"""Checks a whole ledger: reads every event twice and every row once, and changes nothing.

In the order of the ledger it checks positions, checkpoints and the head row; stream by stream it checks chains,
versions, prices and balances, and beside them the read models and snapshots. All of it reads one snapshot of the
database, while writes go on. `docs/explanation/tamper-evidence.md` says what that proves and what not.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from msgspec import Struct
from msgspec.structs import replace
from psycopg import Connection, sql

from projections.declaration import MAX_POSITION
from projections.movements.blocks import Blocks
from projections.rebuilding.processes import ProcessFailed, run_in_processes
from services.integrity.findings import Finding, Findings
from services.integrity.verify.grounds import Ground, checked
from services.integrity.verify.order import OrderCheck, OrderResult
from services.integrity.verify.schema import check_schema
from services.integrity.verify.streams import ALL_STREAMS, Range, StreamsCheck, ranges
from services.integrity.verify.trust import Trust
from services.postgres.database import connect
from services.postgres.sql import Queries, load_queries
from services.process.progress import ReportProgress, report_nothing

EVENTS_WORTH_PROCESSES = 100_000
PROCESSES_LIMIT = 4
STAGE = "Checking events, in order and by stream"


class VerificationResult(Struct, frozen=True):
    """The counts of a check, and what does not hold.

    `covered` events are under checkpoints; `keys` are those of the log, oldest first. `findings` are the first ones in
    the ledger's order; `finding_count` counts all. `rests_on` is what speaks for the ledger, checked or not available.
    """

    events: int
    streams: int
    checkpoints: int
    covered: int
    keys: tuple[str, ...]
    findings: tuple[Finding, ...]
    finding_count: int
    rests_on: tuple[Ground, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether there is no finding."""
        return not self.finding_count


class StreamsResult(Struct, frozen=True):
    """The counts of the check of a range of streams."""

    events: int
    streams: int


class Part(Struct, frozen=True):
    """One part of a check: the ledger in its order, where it has `trust`, or a range of streams."""

    schema: str
    trust: Trust | None = None
    streams: Range = ALL_STREAMS
    database_url: str = ""
    snapshot: str = ""
    """The exported snapshot to read, in a process of its own."""


class PartResult(Struct, frozen=True):
    """The counts and the findings of a part."""

    counts: OrderResult | StreamsResult
    findings: Findings


ATTEMPTS = 10


class TablesChanged(RuntimeError):
    """Tables were put in the place of others again and again."""


class Verification:
    """The check of one schema."""

    def __init__(self, schema: str, trust: Trust, report: ReportProgress = report_nothing) -> None:
        self._schema = schema
        self._queries = _queries_of(schema)
        self._trust = trust
        self._report = report

    def run(self, database_url: str, processes: int | None = None) -> VerificationResult:
        """Check in some processes, by default as many as there are cores and work for.

        Where a rebuild puts other tables in the place of some meanwhile, what they hold cannot be seen by the snapshot
        of the check, which then begins again. Raises psycopg.Error, ProcessFailed, TablesChanged.
        """
        with connect(database_url, autocommit=True) as observer:
            for _ in range(ATTEMPTS):
                before = self._tables(observer)
                try:
                    result = self._run_once(database_url, processes)
                except (psycopg.errors.UndefinedTable, psycopg.errors.InternalError_, ProcessFailed):
                    # PostgreSQL reads definitions as they are by now, and one that is gone is an internal error.
                    if self._tables(observer) == before:
                        raise
                else:
                    if self._tables(observer) == before:
                        return result
        raise TablesChanged("tables of the ledger were rebuilt again and again while it was checked: try once more")

    def _tables(self, connection: Connection[Any]) -> list[Any]:
        return connection.execute(self._queries["select_tables"], {"schema": self._schema}).fetchall()

    def _run_once(self, database_url: str, processes: int | None) -> VerificationResult:
        with connect(database_url) as connection:
            connection.execute(self._queries["begin_verify"])
            if processes is None:
                is_worth_it = self._total(connection) >= EVENTS_WORTH_PROCESSES
                processes = min(os.cpu_count() or 1, PROCESSES_LIMIT) if is_worth_it else 1
            if processes == 1:
                return self._all_or_schema(lambda: self.check(connection), connection)
            (snapshot,) = connection.execute(self._queries["export_snapshot"]).fetchone() or ("",)
            here = Part(self._schema, database_url=database_url, snapshot=snapshot)
            parts = [replace(here, trust=self._trust), *(replace(here, streams=each) for each in ranges(processes))]
            report = self._progress_of(self._total(connection))
            return self._all_or_schema(lambda: _combined(run_in_processes(check_in_process, parts, report)), connection)

    def _all_or_schema(
        self, check: Callable[[], VerificationResult], connection: Connection[Any]
    ) -> VerificationResult:
        """Check all, or where the schema is such that nothing can be read, say what is wrong with the schema."""
        findings = Findings()
        check_schema(connection, self._schema, findings)
        try:
            return check()
        except (psycopg.Error, ProcessFailed) as error:
            if not findings.total:
                raise
            findings.add(MAX_POSITION, "the rest", f"cannot be read: {error}")
            return VerificationResult(0, 0, 0, 0, (), tuple(findings.first()), findings.total)

    def check(self, connection: Connection[Any]) -> VerificationResult:
        """Check in the caller's transaction. Raises psycopg.Error."""
        parts = (Part(self._schema, self._trust), Part(self._schema))
        report = self._progress_of(self._total(connection))
        return _combined([check_part(connection, part, report) for part in parts])

    def _total(self, connection: Connection[Any]) -> int:
        head = connection.execute(self._queries["select_heads"]).fetchone()
        return int(head[0]) if head else 0

    def _progress_of(self, events: int) -> Callable[[int], None]:
        """A function that adds up the events of both passes and reports them."""
        done = 0

        def count(number: int) -> None:
            nonlocal done
            done += number
            self._report(STAGE, done, max(done, 2 * events))

        return count


def check_in_process(part: Part, report: Callable[[int], None]) -> PartResult:
    """Check a part on a connection of its own, which sees the exported snapshot."""
    with connect(part.database_url) as connection:
        connection.execute(_queries_of(part.schema)["begin_verify"])
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(part.snapshot)))
        return check_part(connection, part, report)


def check_part(connection: Connection[Any], part: Part, report: Callable[[int], None]) -> PartResult:
    """Check a part in the caller's transaction."""
    findings, queries = Findings(), _queries_of(part.schema)
    counts: OrderResult | StreamsResult
    if part.trust is not None:
        schema = check_schema(connection, part.schema, findings)
        order = OrderCheck(connection, queries, findings, report).run(part.trust)
        _check_blocks(connection, part.schema, findings)
        counts = replace(order, grounds=(*order.grounds, *schema))
    else:
        check = StreamsCheck(connection, part.schema, queries, findings, report, part.streams)
        counts = StreamsResult(check.run(), check.streams)
    return PartResult(counts, findings)


def _check_blocks(connection: Connection[Any], schema: str, findings: Findings) -> None:
    """Check the sums of movements against the rows, which the check by stream compares with the events."""
    for first, last in Blocks(schema).differences(connection):
        subject = f"movement_blocks rows of events {first} to {last}"
        findings.add(MAX_POSITION, subject, "are not the sums of the movements of these events")


def _combined(parts: Sequence[PartResult]) -> VerificationResult:
    (order,) = (part.counts for part in parts if isinstance(part.counts, OrderResult))
    streams = [part.counts for part in parts if isinstance(part.counts, StreamsResult)]
    findings = Findings()
    for part in parts:
        findings.merge(part.findings)
    by_stream = sum(each.events for each in streams)
    if by_stream != order.events:
        reason = f"has {order.events} events by position, but {by_stream} by stream: an index is damaged"
        findings.add(order.last_position + 1, "the events table", reason)
    stream_count = sum(each.streams for each in streams)
    chains = checked("hash chains and rules", f"{order.events:,} events of {stream_count:,} streams")
    return VerificationResult(
        events=order.events,
        streams=stream_count,
        checkpoints=order.checkpoints,
        covered=order.covered,
        keys=order.keys,
        findings=tuple(findings.first()),
        finding_count=findings.total,
        rests_on=(chains, *order.grounds),
    )


def _queries_of(schema: str) -> Queries:
    return load_queries(__file__, "verify.sql", schema=schema)
