"""Random lives of holds, charges, plans and time, lived through HTTP and by a model: equal after each step.

`TALLYSTICK_LIVES` lives in the long form (10,000), `TALLYSTICK_SEED` for the same lives again.
"""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from random import Random

import httpx
import pytest

from services.catalogue import Catalogue, load_catalogue
from services.catalogue.packaged import packaged
from tests.acceptance.server import Listener
from tests.acceptance.time_travel import server_with_clocks
from tests.conftest import SettableClock
from tests.faults.seeds import seeded
from tests.lives.requests import Life
from tests.processes import running, tallystick

POLICIES = ("deduct_used", "add_leftover", "fresh")
STEPS = 40
KEY = "a-key-with-every-scope-for-tests-of-lives"


def catalogue_of(policy: str) -> str:
    """The packaged catalogue, with that policy."""
    return packaged().replace('upgrade_policy = "deduct_used"', f'upgrade_policy = "{policy}"')


@pytest.mark.parametrize("policy", POLICIES)
def test_a_few_lives(listener: Listener, database_url: str, clock: SettableClock, policy: str) -> None:
    random = seeded(f"lives by {policy}")
    catalogue: Catalogue = load_catalogue(catalogue_of(policy), "packaged")
    with server_with_clocks(listener, database_url, catalogue, clock) as (_, http):
        for _ in range(4):
            Life(http, Random(random.random()), policy).live(STEPS)


@pytest.mark.long
def test_ten_thousand_lives() -> None:
    count = int(os.environ.get("TALLYSTICK_LIVES", "10000"))
    seed = seeded("lives").getrandbits(32)
    with ProcessPoolExecutor(len(POLICIES), mp_context=get_context("spawn")) as pool:
        living = [pool.submit(live_many, policy, seed, count // len(POLICIES)) for policy in POLICIES]
        for each in as_completed(living):
            print(each.result())


def live_many(policy: str, seed: int, count: int) -> str:
    """Live so many lives on a service of its own, and verify its ledger."""
    with tempfile.TemporaryDirectory(prefix="tallystick-lives-") as name:
        folder = Path(name)
        catalogue = folder / "catalogue.toml"
        catalogue.write_text(catalogue_of(policy), encoding="utf-8")
        with running(
            "serve", folder=folder, bootstrap_key=KEY, catalogue=catalogue, test_clocks="true", log_level="error"
        ) as serve:
            serve.page("/readyz")
            headers = {"Authorization": f"Bearer {KEY}"}
            with httpx.Client(base_url=serve.url, headers=headers, timeout=60) as http:
                for number in range(count):
                    Life(http, Random(f"{seed} {policy} {number}"), policy).live(STEPS)
            verified = tallystick("verify", folder=folder)
            assert verified.returncode == 0, verified.stdout + verified.stderr
    return f"{count} lives by {policy}, {STEPS} steps each"
