"""The service for acceptance tests: a real server on a real socket, and a customer who uses it."""

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from services.catalogue import Catalogue
from services.http.app import create_app
from services.http.backend import Backend
from services.http.server.wire import server_of
from services.integrity.sealing.reader import LogReader
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.sealing.store import LOGS
from services.integrity.signing import KeyFile
from services.keys import SCOPES, KeyRing
from services.ledger.ledger import Ledger
from services.postgres.database import connect, reading_pool
from tests.conftest import SCHEMA
from tests.waiting import PATIENCE_SECONDS, wait_until

_generations = count(1)


def plain_client(url: str, headers: Mapping[str, str]) -> httpx.Client:
    """A client without TLS: loading the certificates takes longer than most tests."""
    # Its pool closes idle connections beyond a limit, and of many threads one may have just been given such a one.
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=None)
    return httpx.Client(base_url=url, headers=headers, timeout=PATIENCE_SECONDS, limits=limits, verify=False)


@dataclass(frozen=True)
class Server:
    """A running service: where it is, its keys, and the backend behind it."""

    url: str
    backend: Backend
    secret: str
    data_dir: Path
    """The folder of its signing key and its seals."""

    def seal(self) -> None:
        """Sign what is recorded so far, as the projector does every few seconds."""
        with self.backend.connect() as connection:
            self.backend.sealer.seal(connection)

    @contextmanager
    def client(self, *scopes: str) -> Iterator[httpx.Client]:
        """A client whose key has these scopes; every scope where none is named."""
        secret = self.backend.keys.create("a test", scopes).key if scopes else self.secret
        headers = {"Authorization": f"Bearer {secret}"}
        with plain_client(self.url, headers) as client:
            yield client


class Listener:
    """One HTTP server for all tests of a process, in a thread; each test has its own backend behind it.

    The server is the product's. Starting and stopping one takes longer than most tests.
    """

    def __init__(self, url: str, server: uvicorn.Server) -> None:
        self._url = url
        self._server = server
        self._is_taken = False

    @contextmanager
    def serving(self, backend: Backend) -> Iterator[str]:
        """Answer for this backend, and return the URL; at the end, let requests under way end."""
        if self._is_taken:  # by another backend of the same test
            with listening(create_app(backend)) as (url, _):
                yield url
            return
        server = self._server
        server.config.loaded_app = create_app(backend)  # of the connections from now on
        self._is_taken = True
        try:
            yield self._url
        finally:
            for connection in list(server.server_state.connections):
                connection.loop.call_soon_threadsafe(connection.shutdown)
            wait_until(lambda: not server.server_state.connections and not server.server_state.tasks)
            self._is_taken = False


@contextmanager
def running_server(
    listener: Listener,
    database_url: str,
    catalogue: Catalogue,
    clock: Callable[[], datetime],
    *,
    schema: str = SCHEMA,
    test_clocks: bool = False,
) -> Iterator[Server]:
    """Serve a migrated database in the time of the clock."""
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-test-") as folder,
        reading_pool(database_url, size=8) as reads,
        reading_pool(database_url, size=4) as long_reads,
        Ledger(database_url, schema, catalogue, clock=clock) as ledger,
    ):
        keys = KeyRing(reads, schema, "tests")
        key_file, seals = KeyFile(Path(folder, "signing.key")), Seals(Path(folder, "seals"))
        backend = Backend(
            ledger=ledger,
            reads=reads,
            long_reads=long_reads,
            connect=lambda: connect(database_url, autocommit=True),
            schema=schema,
            catalogue=catalogue,
            keys=keys,
            clock=clock,
            test_clocks_enabled=test_clocks,
            sealer=Sealer(schema, key_file, seals, None, clock),
            logs={log: LogReader(schema, log, seals) for log in LOGS},
            has_witnesses=False,
            webhooks_allow_private=True,
        )
        with listener.serving(backend) as url:
            yield Server(url, backend, keys.create("every scope", SCOPES).key, Path(folder))


@contextmanager
def running_listener() -> Iterator[Listener]:
    """Serve what is put behind the listener; at first nothing."""

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    with listening(nothing) as (url, server):
        yield Listener(url, server)


@contextmanager
def listening(app: ASGIApp, *, stop_seconds: float = 0.0) -> Iterator[tuple[str, uvicorn.Server]]:
    """Serve an app in a thread, as the product does; yield the URL, and the server, for tests that stop it."""
    opened = socket.create_server(("127.0.0.1", 0))
    server = server_of(app, stop_seconds=stop_seconds)
    server.config.load()
    thread = threading.Thread(target=server.run, args=([opened],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{opened.getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join()
        opened.close()


def pages(http: httpx.Client, path: str, **query: Any) -> Iterator[list[Any]]:
    """The pages of a list, followed by their cursors to the last one."""
    cursor: dict[str, str] | None = {}
    while cursor is not None:
        answer = http.get(path, params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page["data"]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None


@dataclass(frozen=True)
class Customer:
    """One subscription, through the API. Answers are checked for success; `.http` is for those that should fail."""

    http: httpx.Client
    subscription_id: str

    @staticmethod
    def with_plan(http: httpx.Client, plan_id: str, account_id: str = "account-1") -> "Customer":
        """Start a subscription."""
        body = {"subscription_id": str(uuid4()), "account_id": account_id, "plan_id": plan_id}
        started = http.post("/v1/subscriptions", json=body)
        assert started.status_code == 201, started.text
        return Customer(http, body["subscription_id"])

    @property
    def path(self) -> str:
        """Where the subscription is."""
        return f"/v1/subscriptions/{self.subscription_id}"

    def get(self, resource: str = "", **query: Any) -> Any:
        """Read something of the subscription."""
        answer = self.http.get(f"{self.path}{resource and '/'}{resource}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, resource: str, **body: Any) -> Any:
        """Do something to the subscription."""
        answer = self.http.post(f"{self.path}/{resource}", json=body)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    def try_charge(self, model: str = "lyria-3", generation_id: str | None = None, **settings: Any) -> httpx.Response:
        """Ask for a charge, whatever comes of it."""
        body = {"generation_id": generation_id or f"gen-{next(_generations)}", "model": model, "settings": settings}
        return self.http.post(f"{self.path}/charges", json=body)

    def charge(self, model: str = "lyria-3", **settings: Any) -> Any:
        """Charge a generation."""
        answer = self.try_charge(model, **settings)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def use(self, used_credits: int) -> None:
        """Spend so many credits, on images at 20 each."""
        images, rest = divmod(used_credits, 20)
        assert rest == 0
        while images:
            count_now = min(images, 1_000)
            self.charge("example-image-1", count=count_now)
            images -= count_now

    @property
    def balance(self) -> int:
        """The credits that are left."""
        balance_credits = self.get("balance")["balance_credits"]
        assert isinstance(balance_credits, int)
        return balance_credits

    def events(self) -> Sequence[str]:
        """The types of what was recorded."""
        return [event["type"] for event in self.get("events", limit=1_000)["data"]]
