"""The lane's way to speak to PostgreSQL: statements go out together and are answered together.

psycopg's own pipeline talks to the server at every statement and plans its talk in Python, which was most of what a
lone charge cost. Here statements wait in libpq's buffer until an answer is wanted; each is prepared when it is first
said. Everything else about the connection is psycopg's: how it is made, its types, its errors, its waiting.
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
_ANSWERED = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


class Answers:
    """What a statement was answered. To ask for it sends everything that was said so far."""

    __slots__ = ("_result", "_session")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._result: PGresult | None = None

    def rows(self) -> list[Any]:
        """Its rows, as tuples. Raises psycopg.Error for the first statement that failed."""
        return self._session.rows_of(self.result())

    def status(self) -> str:
        """What the server says that it did, such as `COMMIT`. Raises psycopg.Error."""
        return (self.result().command_status or b"").decode()

    def result(self) -> PGresult:
        """The answer as libpq has it. Raises psycopg.Error."""
        if self._result is None:
            self._session.exchange()
        assert self._result is not None
        return self._result

    def take(self, result: PGresult) -> None:
        """Called by the session."""
        self._result = result


class Prepared(Struct, frozen=True):
    """A statement that this connection knows by name, and its arguments in order."""

    name: bytes
    arguments: Sequence[str]


class Session:
    """One connection, for one thread. Statements are said within `together` only."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._names = count(1)
        self._prepared: dict[bytes, Prepared] = {}
        self._preparing: list[bytes] = []
        """Of those, the ones whose preparation the server has not confirmed yet."""
        self._waiting: deque[Answers | None] = deque()
        """Who waits for the next answers, in order; None where all that is wanted is that it succeeds."""
        self._is_sent = False
        self._unasked = select.poll()
        self._unasked.register(connection.fileno(), select.POLLIN)

    @property
    def is_over(self) -> bool:
        """Whether the server has closed it, as far as can be known between transactions.

        Whatever it says unasked is taken for that, since it is nearly always why it will close.
        """
        return self.connection.closed or bool(self._unasked.poll(0))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within it, nothing waits for an answer unless it is asked for; at its end all are in.

        Raises psycopg.Error for the first statement that failed.
        """
        self._pgconn.enter_pipeline_mode()
        try:
            yield
            self.exchange()
        finally:
            if not self.connection.closed:
                with suppress(psycopg.Error):  # after a defect; what was said so far has to be answered first
                    self.exchange()
                self._pgconn.exit_pipeline_mode()

    def execute(self, query: bytes, arguments: Mapping[str, Any] | None = None) -> Answers:
        """Say a statement: an `Array` goes in binary, all else as psycopg writes it, typed by the statement."""
        prepared = self._prepared.get(query) or self._prepare(query)
        answers = Answers(self)
        if arguments:
            values, formats = self._written([arguments[name] for name in prepared.arguments])
            self._pgconn.send_query_prepared(prepared.name, values, formats)
        else:
            self._pgconn.send_query_prepared(prepared.name, None)
        self._waiting.append(answers)
        return answers

    def send_off(self) -> None:
        """Send what was said, and wait for nothing: the server can work on it meanwhile. Raises psycopg.Error.

        What does not fit into the socket's buffer is sent when the answers are asked for.
        """
        if self._waiting and not self._is_sent:
            self._pgconn.pipeline_sync()
            self._is_sent = True

    def exchange(self) -> None:
        """Send what was said, and take the answers in. Raises psycopg.Error for the first statement that failed.

        Where that is cut short, nobody knows what the server is at, so the connection is closed.
        """
        if not self._waiting:
            return
        try:
            self.send_off()
            self._is_sent = False
            failed = self.connection.wait(self._answered())
        except BaseException:
            self.connection.close()
            raise
        preparing, self._preparing = self._preparing, []
        if failed is not None:
            for query in preparing:
                del self._prepared[query]
            raise error_from_result(failed, encoding=self.connection.info.encoding)

    def rows_of(self, result: PGresult) -> list[Any]:
        """The rows of an answer."""
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _prepare(self, query: bytes) -> Prepared:
        names = list(dict.fromkeys(name.decode() for name in _PLACEHOLDER.findall(query)))
        numbered = _PLACEHOLDER.sub(lambda found: b"$%d" % (names.index(found[1].decode()) + 1), query)
        prepared = Prepared(b"lane_%d" % next(self._names), names)
        self._pgconn.send_prepare(prepared.name, numbered)
        self._waiting.append(None)
        self._preparing.append(query)
        self._prepared[query] = prepared
        return prepared

    def _written(self, arguments: Sequence[Any]) -> tuple[list[Any], list[Format]]:
        if all(isinstance(argument, Array) for argument in arguments):
            return [bytes(argument) for argument in arguments], [Format.BINARY] * len(arguments)
        wanted = [PyFormat.BINARY if isinstance(argument, Array) else PyFormat.TEXT for argument in arguments]
        values = self._transformer.dump_sequence(arguments, wanted)
        return list(values), list(self._transformer.formats or ())

    def _answered(self) -> PQGen[PGresult | None]:
        """Send and receive at once: a server that cannot get rid of its answers would not read on."""
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
            if result is None:  # the end of one statement's answer
                if is_at_end:
                    raise psycopg.OperationalError("the server answered less than it was asked")
                is_at_end = True
                continue
            is_at_end = False
            if result.status == ExecStatus.PIPELINE_SYNC:
                self._waiting.clear()
                return failed
            if result.status in _ANSWERED:
                if (waiting := self._waiting.popleft()) is not None:
                    waiting.take(result)
            elif result.status == ExecStatus.FATAL_ERROR and failed is None:
                failed = result
