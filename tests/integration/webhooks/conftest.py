"""A role that delivers, in the time of the test's clock, and endpoints that it delivers to."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import Connection

from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Charged
from services.postgres.database import connect, reading_pool
from services.subscription.commands import ChargeGeneration, StartSubscription
from services.webhooks.role import WebhookRole
from services.webhooks.signing import new_secret
from services.webhooks.store import Endpoint, WebhookStore
from tests.conftest import SCHEMA, SettableClock

METADATA = Metadata("a test", "a request")


class Books:
    """Subscriptions and charges on a ledger, and endpoints beside it."""

    def __init__(self, ledger: Ledger, connection: Connection[Any], clock: SettableClock) -> None:
        self.ledger = ledger
        self.connection = connection
        self.clock = clock
        self.store = WebhookStore(SCHEMA)
        self._generations = 0

    def start(self, plan_id: str = "max-pro-240000-yearly") -> UUID:
        """Start a subscription."""
        id = uuid4()
        self.ledger.execute(id, StartSubscription("account-1", plan_id), METADATA)
        return id

    def charge(self, subscription_id: UUID, model: str = "lyria-3") -> int:
        """Charge a track; return the position."""
        self._generations += 1
        command = ChargeGeneration(f"g-{self._generations}", model)
        answer = self.ledger.execute(subscription_id, command, METADATA)
        assert isinstance(answer, Charged)
        return answer.charge.position

    def endpoint(self, url: str, types: Sequence[str] = ("generation-charged",)) -> Endpoint:
        """Make an endpoint."""
        return self.store.insert(
            self.connection,
            webhook_id=uuid4(),
            url=url,
            types=list(types),
            description=None,
            created_at=self.clock.now,
            secret=new_secret(),
        )

    def now(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint as it is now."""
        found = self.store.find(self.connection, endpoint.webhook_id)
        assert found is not None
        return found


@pytest.fixture
def books(ledger: Ledger, database_url: str, clock: SettableClock) -> Iterator[Books]:
    with connect(database_url, autocommit=True) as connection:
        yield Books(ledger, connection, clock)


Running = Callable[..., AbstractContextManager[WebhookRole]]


@pytest.fixture
def delivering(database_url: str, clock: SettableClock) -> Running:
    """Opens a role that delivers until its block ends."""

    @contextmanager
    def run(*, allow_private: bool = True) -> Iterator[WebhookRole]:
        stopping = threading.Event()
        with reading_pool(database_url, size=4) as connections:
            role = WebhookRole(
                connections,
                partial(connect, database_url, autocommit=True),
                SCHEMA,
                clock,
                allow_private=allow_private,
            )
            running = threading.Thread(target=role.run, args=[stopping])
            running.start()
            try:
                yield role
            finally:
                stopping.set()
                running.join()

    return run
