"""What the tests of faults share."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.proxy import CuttingProxy


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    """A line to the test's server that can be cut."""
    with (
        TemporaryDirectory(prefix="tallystick-proxy-") as folder,
        CuttingProxy(Path(folder), database_url) as proxy,
    ):
        yield proxy
