"""Where the servers of these tests live."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.postgres.embedded import EmbeddedPostgres
from tests.integration.embedded.servers import own_place


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory, in which no server is left running when the test ends."""
    with own_place() as path:
        yield path


@pytest.fixture
def data_dir(place: Path) -> Path:
    return place / "data"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A running server, for the tests that only look at it."""
    with own_place() as path, EmbeddedPostgres(path / "data") as server:
        yield server
