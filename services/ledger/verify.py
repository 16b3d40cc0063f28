"""The check of a whole ledger: `run` reads every event twice, every row once, and changes nothing.

In the order of the ledger it checks positions, checkpoints and the head row; stream by stream it checks chains,
versions, prices and balances, and beside them the read models and snapshots. Everything is seen in one snapshot of the
database, while writes go on. `docs/explanation/tamper-evidence.md` says what that proves and what not.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from psycopg import Connection

from services.ledger.findings import Finding, Findings
from services.ledger.verify_order import OrderCheck, OrderChecked, Trust
from services.ledger.verify_streams import StreamsCheck
from services.sql import load_queries


class Progress(Struct, frozen=True):
    """How far a check is: the stage, in words, and events of all."""

    stage: str
    done: int
    total: int


class Verified(Struct, frozen=True):
    """What a check came to. `findings` are the first ones in the ledger's order; `finding_count` counts them all."""

    events: int
    streams: int
    checkpoints: int
    covered: int
    key_ids: tuple[str, ...]
    findings: tuple[Finding, ...]
    finding_count: int

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.finding_count


class Verification:
    """The check of one schema."""

    def __init__(self, schema: str, trust: Trust, on_progress: Callable[[Progress], None] = lambda _: None) -> None:
        self._queries = load_queries(__file__, "verify.sql", schema=schema)
        self._trust = trust
        self._on_progress = on_progress

    def run(self, connection: Connection[Any]) -> Verified:
        """Check, in a transaction of its own on an autocommit connection. Raises psycopg.Error."""
        with connection.transaction():
            connection.execute(self._queries["begin_verify"])
            return self.check(connection)

    def check(self, connection: Connection[Any]) -> Verified:
        """Check, in the caller's transaction."""
        findings = Findings()
        heads = connection.execute(self._queries["select_heads"]).fetchall()
        total = heads[0][0] if heads else 0
        in_order = OrderCheck(connection, self._queries, findings, self._counted("Positions and checkpoints", total))
        order = in_order.run(self._trust)
        by_stream = StreamsCheck(
            connection, self._queries, findings, self._counted("Streams and read models", order.events)
        )
        if (events := by_stream.run(order.last_position)) != order.events:
            found = f"{order.events} events by position, but {events} by stream: an index is damaged"
            findings.add(order.last_position + 1, "the events table", found)
        return _verified(order, by_stream.streams, findings)

    def _counted(self, stage: str, total: int) -> Callable[[int], None]:
        done = 0

        def count(events: int) -> None:
            nonlocal done
            done += events
            self._on_progress(Progress(stage, done, max(done, total)))

        return count


def _verified(order: OrderChecked, streams: int, findings: Findings) -> Verified:
    return Verified(
        events=order.events,
        streams=streams,
        checkpoints=order.checkpoints,
        covered=order.covered,
        key_ids=order.key_ids,
        findings=tuple(findings.first()),
        finding_count=findings.total,
    )
