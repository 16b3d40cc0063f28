"""A disk that is full: nothing is charged and nobody is told so; with room again, it goes on by itself."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.acceptance.server import Customer, plain_client
from tests.faults.service import KEY, Service
from tests.waiting import wait_until

SIZE = "320m"


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system of its own."""
    with TemporaryDirectory(prefix="tallystick-disk-") as folder:
        mounting = ("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", folder)
        if os.getuid() or subprocess.run(mounting, check=False).returncode:
            pytest.skip("only who may mount a file system can fill one")
        try:
            yield Path(folder)
        finally:
            subprocess.run(("umount", "--lazy", folder), check=True)


def fill(disk: Path) -> Path:
    """Leave no room, and return the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(65_536)):
            pass
    return ballast


def lacks(http: httpx.Client) -> list[str]:
    """Return the parts of readiness that are not as they must be."""
    return [name for name, is_well in http.get("/readyz").json().items() if is_well is False]


def charges_of(customer: Customer) -> set[str]:
    """Read the ids of all that was charged."""
    return {each["generation_id"] for each in customer.get("charges", limit=1_000)["data"]}


def test_nothing_is_charged_on_a_full_disk(disk: Path) -> None:
    data_dir = disk / "data"
    data_dir.mkdir()
    headers = {"Authorization": f"Bearer {KEY}"}
    with Service(data_dir, workers=1).running() as service, plain_client(service.url, headers) as http:
        customer = Customer.with_plan(http, "max-pro-240000-yearly")
        ballast = fill(disk)
        charged, refused = set(), 0
        while refused < 2:
            answer = customer.try_charge()
            if answer.status_code == 201:
                charged.add(answer.json()["generation_id"])
                continue
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            refused += 1
        assert lacks(http) == ["writable"]
        assert charges_of(customer) == charged

        ballast.unlink()
        assert wait_until(lambda: lacks(http) == [])
        charged.add(customer.charge()["generation_id"])
        assert charges_of(customer) == charged
