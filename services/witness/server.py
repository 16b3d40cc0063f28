"""Answers as a witness over HTTP: `POST /add-checkpoint` and `GET /<origin hash>/checkpoint`."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Any

import structlog

from services.log.keys import Signer
from services.log.witness import TEXT, Accepted, Refused, decide, read_submission
from services.witness.memory import WitnessMemory

log = structlog.get_logger()

BODY_BYTES_MAX = 256 * 1024
CONNECTIONS_MAX = 64
REQUEST_SECONDS = 10


class WitnessServer:
    """Decides one submission at a time: nothing is seen between what is checked and what is kept."""

    def __init__(self, memory: WitnessMemory, signer: Signer, clock: Callable[[], float] = time.time) -> None:
        self._memory = memory
        self._signer = signer
        self._clock = clock
        self._deciding = threading.Lock()

    def add_checkpoint(self, body: bytes) -> Accepted | Refused:
        """Answer a submission. What is accepted is kept. Raises OSError, and then nothing was given away."""
        submitted = read_submission(body)
        if isinstance(submitted, Refused):
            return submitted
        origin = submitted.checkpoint.origin
        with self._deciding:
            answer = decide(submitted, self._memory.get(origin), self._signer, int(self._clock()))
            if isinstance(answer, Accepted):
                self._memory.put(origin, answer.witnessed)
        if isinstance(answer, Refused) and answer.status not in (404, 409):
            log.warning("a checkpoint was not cosigned", origin=origin, status=answer.status, why=answer.body.strip())
        return answer

    def checkpoint(self, origin_hash: str) -> str | None:
        """The newest note of a log that was cosigned here; None where there is none."""
        known = self._memory.by_hash(origin_hash)
        return None if known is None or known.note is None else str(known.note)


@contextmanager
def serving(witness: WitnessServer, host: str, port: int) -> Iterator[int]:
    """Answer on the address as long as this context; its value is the port. Raises OSError naming the address."""

    class Handler(_Handler):
        served = witness

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ":" in host else AF_INET
        daemon_threads = True
        request_queue_size = 128
        turns = threading.BoundedSemaphore(CONNECTIONS_MAX)

        def process_request(self, request: Any, client_address: Any) -> None:
            self.turns.acquire()
            super().process_request(request, client_address)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                self.turns.release()

    try:
        server = Server((host, port), Handler)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    with server:
        thread = threading.Thread(target=server.serve_forever, name="witness", daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection, which is kept between requests for a while."""

    served: WitnessServer
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS

    def do_POST(self) -> None:
        if self.path != "/add-checkpoint":
            self._answer(404, "not found\n")
            return
        body = self._body()
        if body is None:
            return
        try:
            answer = self.served.add_checkpoint(body)
        except OSError as error:
            log.warning("what was seen could not be kept", error=str(error))
            self._answer(500, "what was seen could not be kept\n")
            return
        match answer:
            case Accepted(line=line):
                self._answer(200, line)
            case Refused(status=status, body=text, content_type=content_type):
                self._answer(status, text, content_type)

    def do_GET(self) -> None:
        origin_hash, slash, rest = self.path.removeprefix("/").partition("/")
        note = self.served.checkpoint(origin_hash) if slash and rest == "checkpoint" else None
        self._answer(404, "not found\n") if note is None else self._answer(200, note)

    def _body(self) -> bytes | None:
        """The body of the request; None where it was answered already."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            is_known = length.isascii() and length.isdecimal()
            self._answer(413 if is_known else 411, f"a body has at most {BODY_BYTES_MAX} bytes, and says how many\n")
            return None
        return self.rfile.read(int(length))

    def _answer(self, status: int, body: str, content_type: str = TEXT) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing of each request."""
