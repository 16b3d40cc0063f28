"""A PostgreSQL session with a pipeline of prepared statements, on libpq directly.

psycopg's own pipeline communicates at every statement and schedules that in Python, which was most of what a lone
charge cost. Here statements are queued in libpq's buffer until a result is read; each is prepared when it is first
executed. All else is psycopg's: how a connection is made, its types, its errors, its waiting.
"""

import re
import select
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.waiting import Ready, Wait

from services.postgres.arrays import Array

_PLACEHOLDER = re.compile(rb"%\((\w+)\)[bs]")
_SUCCESS = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class PendingResult:
    """The result of a queued statement. Reading it sends the pipeline and waits for all of its results."""

    __slots__ = ("_result", "_session")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._result: PGresult | None = None

    def rows(self) -> list[Any]:
        """Return the rows as tuples. Raises psycopg.Error for the first statement that failed."""
        return self._session.rows_of(self.result())

    def status(self) -> str:
        """Return the server's command tag, such as `COMMIT`. Raises psycopg.Error."""
        return (self.result().command_status or b"").decode()

    def result(self) -> PGresult:
        """Return libpq's result. Raises psycopg.Error."""
        if self._result is None:
            self._session.sync()
        assert self._result is not None
        return self._result

    def set(self, result: PGresult) -> None:
        """Store the result; called by the session that received it."""
        self._result = result


class PreparedStatement(Struct, frozen=True):
    """A statement that this connection has prepared under a name, and its parameters in order."""

    name: bytes
    parameters: Sequence[str]


class Session:
    """One connection, for one thread. Statements are executed inside `pipeline()` only."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._names = count(1)
        self._statements: dict[bytes, PreparedStatement] = {}
        self._unconfirmed: list[bytes] = []
        """The queries whose preparation the server has not confirmed yet."""
        self._pending: deque[PendingResult | None] = deque()
        """The results to come, in order; None where only failure matters."""
        self._is_flushed = False
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)

    @property
    def is_closed_by_server(self) -> bool:
        """Whether the connection is closed, as far as can be known between transactions.

        Any unsolicited message counts, since it is nearly always the reason why the server is about to close.
        """
        return self.connection.closed or bool(self._poll.poll(0))

    @contextmanager
    def pipeline(self) -> Iterator[None]:
        """Queue the statements that are executed inside, until a result is read; wait for the rest at the end.

        Raises psycopg.Error for the first statement that failed.
        """
        self._pgconn.enter_pipeline_mode()
        try:
            yield
            self.sync()
        finally:
            if not self.connection.closed:
                with suppress(psycopg.Error):  # after a defect, the results of what was queued must still be received
                    self.sync()
                self._pgconn.exit_pipeline_mode()

    def execute(self, query: bytes, arguments: Mapping[str, Any] | None = None) -> PendingResult:
        """Queue a statement. An `Array` is sent in binary, all else as psycopg's text, typed by the statement."""
        statement = self._statements.get(query) or self._prepare(query)
        pending = PendingResult(self)
        if arguments:
            values, formats = self._dump([arguments[name] for name in statement.parameters])
            self._pgconn.send_query_prepared(statement.name, values, formats)
        else:
            self._pgconn.send_query_prepared(statement.name, None)
        self._pending.append(pending)
        return pending

    def flush(self) -> None:
        """Send what is queued without waiting, so that the server works meanwhile. Raises psycopg.Error.

        What does not fit into the socket's buffer is sent by the next `sync`.
        """
        if self._pending and not self._is_flushed:
            self._pgconn.pipeline_sync()
            self._is_flushed = True

    def sync(self) -> None:
        """Send what is queued and receive all results. Raises psycopg.Error for the first statement that failed.

        An interruption leaves the protocol in an unknown state, so it closes the connection.
        """
        if not self._pending:
            return
        try:
            self.flush()
            self._is_flushed = False
            failed = self.connection.wait(self._receive())
        except BaseException:
            self.connection.close()
            raise
        unconfirmed, self._unconfirmed = self._unconfirmed, []
        if failed is not None:
            for query in unconfirmed:
                del self._statements[query]
            raise error_from_result(failed, encoding=self.connection.info.encoding)

    def rows_of(self, result: PGresult) -> list[Any]:
        """Return the rows of a result as tuples."""
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _prepare(self, query: bytes) -> PreparedStatement:
        names = list(dict.fromkeys(name.decode() for name in _PLACEHOLDER.findall(query)))
        numbered = _PLACEHOLDER.sub(lambda match: b"$%d" % (names.index(match[1].decode()) + 1), query)
        statement = PreparedStatement(b"lane_%d" % next(self._names), names)
        self._pgconn.send_prepare(statement.name, numbered)
        self._pending.append(None)
        self._unconfirmed.append(query)
        self._statements[query] = statement
        return statement

    def _dump(self, arguments: Sequence[Any]) -> tuple[list[Any], list[Format]]:
        if all(isinstance(argument, Array) for argument in arguments):
            return [bytes(argument) for argument in arguments], [Format.BINARY] * len(arguments)
        formats = [PyFormat.BINARY if isinstance(argument, Array) else PyFormat.TEXT for argument in arguments]
        values = self._transformer.dump_sequence(arguments, formats)
        return list(values), list(self._transformer.formats or ())

    def _receive(self) -> PQGen[PGresult | None]:
        """Send and receive until the pipeline is empty; return the first failed result.

        Both at once, since a server that cannot get rid of its results stops reading.
        """
        pgconn = self._pgconn
        while pgconn.flush():
            if (yield Wait.RW) & Ready.R:
                pgconn.consume_input()
        failed, is_at_end = None, False
        while True:
            while pgconn.is_busy():
                yield Wait.R
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None:  # the end of one statement's results
                if is_at_end:
                    raise psycopg.OperationalError("the server sent fewer results than statements were queued")
                is_at_end = True
                continue
            is_at_end = False
            if result.status == ExecStatus.PIPELINE_SYNC:
                self._pending.clear()
                return failed
            if result.status in _SUCCESS:
                if (pending := self._pending.popleft()) is not None:
                    pending.set(result)
            elif result.status == ExecStatus.FATAL_ERROR and failed is None:
                failed = result
