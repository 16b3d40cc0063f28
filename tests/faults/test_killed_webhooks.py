"""kill -9 of the role that delivers webhooks, again and again, while charges go on and receivers fail.

Every endpoint gets every message, in the order of its subscription; what comes twice has the id that it had.
`TALLYSTICK_WEBHOOK_EVENTS` charges in the long form (20,000), to ten endpoints; `TALLYSTICK_SEED` for the same choices.
"""

import asyncio
import json
import os
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger, utc_now
from services.postgres.database import connect
from services.webhooks.signing import new_secret
from services.webhooks.store import WebhookStore
from tests.conftest import SCHEMA
from tests.faults.seeds import seeded
from tests.integration.ledger.lanes import BY, start, track
from tests.processes import running
from tests.waiting import wait_until

PLAN = "max-pro-240000-yearly"


@dataclass
class Told:
    """What one endpoint was told of one subscription: each position with its id, in the order of first arrival."""

    ids: dict[int, str] = field(default_factory=dict)

    def note(self, position: int, message_id: str) -> str | None:
        """Note a message that was taken; return what is wrong with it."""
        if position in self.ids:
            return None if self.ids[position] == message_id else f"{position} came under another id"
        if self.ids and position < max(self.ids):
            return f"{position} came first behind {max(self.ids)}"
        self.ids[position] = message_id
        return None


class Receivers:
    """Ten endpoints on one port, by path. One in a hundred requests fails, one in three thousand gets no answer."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.told: dict[tuple[str, str], Told] = defaultdict(Told)
        self.faults: list[str] = []
        self.taken = 0
        self.port = 0
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])
        self._ended = asyncio.Event()

    def __enter__(self) -> "Receivers":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request, *lines = head.decode().lower().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines if line)
                body = await reader.readexactly(int(headers["content-length"]))
                match self.random.randrange(3_000):
                    case 0:
                        return
                    case chance if chance < 30:
                        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                    case _:
                        self._take(request.split()[1], headers["webhook-id"], json.loads(body))
                        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _take(self, path: str, message_id: str, message: dict[str, object]) -> None:
        data = message["data"]
        assert isinstance(data, dict)
        self.taken += 1
        fault = self.told[path, data["subscription_id"]].note(data["position"], message_id)
        if fault:
            self.faults.append(f"{path} {data['subscription_id']}: {fault}")

    def has_taken_more_than(self, taken: int) -> bool:
        """Whether more messages arrived since then."""
        return self.taken > taken

    def positions(self, path: str) -> set[int]:
        """All positions that an endpoint was told of."""
        return {position for (of, _), told in list(self.told.items()) if of == path for position in list(told.ids)}


def deliver_under_kills(
    database_url: str,
    catalogue: Catalogue,
    folder: Path,
    random: Random,
    *,
    charges: int,
    endpoints: int,
    kills_at_least: int,
) -> None:
    """Charge, deliver and kill until every endpoint has everything."""
    store = WebhookStore(SCHEMA)
    with (
        Receivers(random) as receivers,
        Ledger(database_url, SCHEMA, catalogue) as ledger,
        connect(database_url, autocommit=True) as connection,
    ):
        ids = [start(ledger, PLAN) for _ in range(max(40, charges // 1_000))]
        paths = [f"/hook-{number}" for number in range(endpoints)]
        for path in paths:
            _make_endpoint(store, connection, f"http://127.0.0.1:{receivers.port}{path}")
        expected = set[int]()
        charging = threading.Thread(target=_charge, args=(ledger, ids, charges, expected))
        charging.start()
        began_at, kills = time.monotonic(), 0
        while charging.is_alive() or any(receivers.positions(path) != expected for path in paths):
            with running("webhooks", folder=folder, database_url=database_url, webhooks_allow_private="true") as role:
                role.page("/livez")
                time.sleep(random.uniform(0.5, 4))
                if kills < kills_at_least or charging.is_alive():
                    role.kill()
                    kills += 1
                else:
                    while any(receivers.positions(path) != expected for path in paths):
                        wait_until(partial(receivers.has_taken_more_than, receivers.taken))
                    role.stop()
        charging.join()
        seconds = time.monotonic() - began_at
    assert receivers.faults == []
    assert all(receivers.positions(path) == expected for path in paths)
    repeats = receivers.taken - endpoints * charges
    print(
        f"{charges:,} charges to {endpoints} endpoints in {seconds:.0f} s under {kills} kills: "
        f"{receivers.taken:,} messages taken, {receivers.taken / seconds:,.0f} a second, {repeats:,} of them repeats"
    )


def _make_endpoint(store: WebhookStore, connection: object, url: str) -> None:
    store.insert(
        connection,  # type: ignore[arg-type]
        webhook_id=uuid4(),
        url=url,
        types=["generation-charged"],
        description=None,
        created_at=utc_now(),
        secret=new_secret(),
    )


def _charge(ledger: Ledger, ids: list[UUID], charges: int, expected: set[int]) -> None:
    def charge(number: int) -> int:
        answer = ledger.execute(ids[number % len(ids)], track(f"g-{number}"), BY)
        return int(answer.charge.position)  # type: ignore[union-attr]

    with ThreadPoolExecutor(16) as pool:
        for position in pool.map(charge, range(charges)):
            expected.add(position)


def test_killed_roles_lose_nothing_and_keep_the_order(database_url: str, catalogue: Catalogue, tmp_path: Path) -> None:
    deliver_under_kills(
        database_url, catalogue, tmp_path, seeded("webhooks"), charges=1_500, endpoints=4, kills_at_least=3
    )


@pytest.mark.long
def test_many_killed_roles_lose_nothing_and_keep_the_order(
    database_url: str, catalogue: Catalogue, tmp_path: Path
) -> None:
    charges = int(os.environ.get("TALLYSTICK_WEBHOOK_EVENTS", "20000"))
    deliver_under_kills(
        database_url, catalogue, tmp_path, seeded("webhooks"), charges=charges, endpoints=10, kills_at_least=20
    )
