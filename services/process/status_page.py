"""Serves `/livez` and `/metrics` for a role that has no API."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

FindTrouble = Callable[[], str | None]
"""Returns what keeps the role from working, in words; None where nothing does."""


@contextmanager
def status_page(host: str, port: int, registry: CollectorRegistry, find_trouble: FindTrouble) -> Iterator[int]:
    """Answer on the address as long as this context; its value is the port. Raises OSError."""

    class Handler(_Handler):
        pages = {  # noqa: RUF012 - one handler class a page, made here
            "/livez": lambda: _livez(find_trouble()),
            "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)),
        }

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ":" in host else AF_INET
        daemon_threads = True

    with Server((host, port), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, name="status-page", daemon=True)
        serving.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            serving.join()


Page = tuple[HTTPStatus, str, bytes]


def _livez(trouble: str | None) -> Page:
    if trouble is None:
        return HTTPStatus.OK, "text/plain; charset=utf-8", b"alive\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", f"{trouble}\n".encode()


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, Callable[[], Page]]
    timeout = 5

    def do_GET(self) -> None:
        page = self.pages.get(self.path.partition("?")[0])
        status, content_type, body = page() if page else (HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: probes come every few seconds."""
