"""A running service for each test, and a client with every scope."""

from collections.abc import Iterator

import httpx
import pytest

from services.catalogue import Catalogue
from tests.acceptance.server import Server, running_server
from tests.conftest import SettableClock


@pytest.fixture
def server(database_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Server]:
    """The service on a database of its own, at the time of the test's clock."""
    with running_server(database_url, catalogue, clock) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A client whose key has every scope."""
    with server.client() as client:
        yield client
