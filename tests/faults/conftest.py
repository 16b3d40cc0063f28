"""What the tests of faults share."""

import faulthandler
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.proxy import CuttingProxy


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest) -> None:
    """Long tests take their time: what ends a test that hangs is not for them."""
    if request.node.get_closest_marker("long"):
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    """A line to the test's server that can be cut."""
    with (
        TemporaryDirectory(prefix="tallystick-proxy-") as folder,
        CuttingProxy(Path(folder), database_url) as proxy,
    ):
        yield proxy
