"""One transaction of the write path: load, decide, append, for a batch of commands that are committed together.

    lock the streams, look up -> decide -> append, project -> commit

Or, for charges on streams whose heads are cached, in one round trip:

    decide speculatively -> lock the streams, validate the speculation -> append, project -> commit

Only an error of the database, or a row that cannot be written, undoes the batch; the lane then retries each command
alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from msgspec import Struct
from psycopg.errors import SerializationFailure, UniqueViolation

from services.catalogue import Catalogue
from services.ledger import deciding
from services.ledger.deciding import Speculation, decide, heads_to_speculate_on
from services.ledger.heads import HeadCache
from services.ledger.lookups import Lookups
from services.ledger.outcomes import DecidedBatch
from services.ledger.records import StreamHead
from services.ledger.submission import Answer, Attempt, Submission
from services.ledger.writes import Writes
from services.postgres.session import Session
from services.postgres.sql import Queries

log = structlog.get_logger()

Misspeculation = SerializationFailure | UniqueViolation
"""How a transaction fails when it was decided on a wrong speculation."""


class NotCommitted(RuntimeError):
    """The server rolled back instead of committing."""


class BatchContext(Struct, frozen=True):
    """What every transaction of a lane works with."""

    queries: Queries
    lookups: Lookups
    writes: Writes
    heads: HeadCache
    catalogue: Catalogue
    clock: Callable[[], datetime]
    take_snapshots: Callable[[list[StreamHead]], None]
    snapshot_interval: int
    """Events of a stream between two snapshots of it."""


class Transaction:
    """Carries out one batch: `send`, then `answers`. A speculation, where there is one, is validated."""

    def __init__(
        self, context: BatchContext, submissions: Sequence[Submission], speculation: Speculation | None = None
    ) -> None:
        self._context = context
        self.submissions = submissions
        self._speculation = speculation
        self._decided = speculation.decided if speculation else DecidedBatch({})
        self.is_committing = False
        """Whether COMMIT may have been sent. From then on an error does not tell that nothing happened."""

    @property
    def heads(self) -> Mapping[UUID, StreamHead]:
        """The heads of its streams, as it leaves them; empty before it is decided."""
        return self._decided.heads

    def send(self, session: Session) -> None:
        """Load, decide, append, commit. Raises psycopg.Error, or what writing a row raises.

        The last statements may still wait in the session's pipeline.
        """
        context = self._context
        session.execute(b"BEGIN")
        session.execute(context.queries["begin_batch"])
        if self._speculation is None:
            known = context.lookups.load(session, self.submissions)
            self._decided = decide(self.submissions, known, context.clock(), context.catalogue)
            _log_defects(self._decided)
        else:
            context.lookups.validate(session, self._speculation)
        self._positions = context.writes.send(
            session,
            self._decided.recorded,
            self._decided.heads,
            self._decided.refusals,
            self._decided.records_by_key.values(),
        )
        self.is_committing = True
        self._commit = session.execute(b"COMMIT")

    def answers(self) -> list[Answer]:
        """Return the answers in order, of all commands or of as many as fill a transaction, once it is committed.

        Raises NotCommitted or psycopg.Error.
        """
        if self._commit.status() != "COMMIT":  # PostgreSQL answers ROLLBACK, and no error, where one came before
            raise NotCommitted(self._commit.status())
        base = self._positions.base() if self._positions else 0
        self._context.heads.put(self._decided.heads.values())
        self._context.take_snapshots(self._snapshots_due())
        return self._decided.answers(base)

    def attempts(self) -> Iterator[tuple[int, Attempt]]:
        """Yield what was being committed, by place in the batch, in case the outcome is lost."""
        return self._decided.attempts()

    def _snapshots_due(self) -> list[StreamHead]:
        interval, heads = self._context.snapshot_interval, self._decided.heads
        ids = {each.originator_id for each in self._decided.recorded if each.originator_version % interval == 0}
        return [heads[id] for id in ids if id in heads]


def speculate(
    context: BatchContext, submissions: Sequence[Submission], heads: Mapping[UUID, StreamHead]
) -> Transaction | None:
    """Decide a batch at once, from these heads or else cached ones; return its transaction, or None where it must be
    looked up."""
    known = heads_to_speculate_on(submissions, lambda id: heads.get(id) or context.heads.get(id))
    if known is None:
        return None
    speculation = deciding.speculate(submissions, known, context.clock(), context.catalogue)
    _log_defects(speculation.decided)
    return Transaction(context, submissions, speculation)


def _log_defects(decided: DecidedBatch) -> None:
    for command, defect in decided.defects:
        log.error("a command met a defect", command=type(command).__name__, exc_info=defect)
