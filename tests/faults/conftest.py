"""Fixtures of the tests of faults."""

import faulthandler
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.proxy import CuttingProxy


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest) -> None:
    """Let long tests run longer than the limit for tests that hang."""
    if request.node.get_closest_marker("long"):
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    """A proxy before the test's server that can cut connections."""
    with (
        TemporaryDirectory(prefix="tallystick-proxy-") as folder,
        CuttingProxy(Path(folder), database_url) as proxy,
    ):
        yield proxy
