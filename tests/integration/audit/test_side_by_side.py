"""Commands that may run beside each other, and beside charges: neither is disturbed, or says so in a line."""

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement
from pathlib import Path
from threading import Event

import pytest

from services.ledger.ledger import Ledger
from services.subscription.commands import ChargeGeneration
from tests.integration.ledger.lanes import BY, start
from tests.processes import free_port, running, tallystick

SUBSCRIPTIONS, CHARGES = 20, 30
COMMANDS: dict[str, list[str]] = {
    "verify": ["verify"],
    "rebuild": ["rebuild", "--all"],
    "export": ["export", "/dev/null"],
    "checkpoint": ["checkpoint"],
    "renewals": ["renewals", "--once"],
    "migrate": ["migrate"],
    "keys": ["keys", "create", "--name", "n", "--scope", "read"],
}


PAIRS = [pair for pair in combinations_with_replacement(COMMANDS, 2) if {*pair} & {"verify", "rebuild"}]
"""Those that read everything, or put tables in the place of others, beside each other and all the rest."""


@pytest.fixture
def charging(ledger: Ledger) -> list[str]:
    ids = [start(ledger) for _ in range(SUBSCRIPTIONS)]
    for number in range(CHARGES):
        for id in ids:
            ledger.execute(id, ChargeGeneration(f"g-{number}", "lyria-3"), BY)
    return [str(id) for id in ids]


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
@pytest.mark.usefixtures("charging")
def test_two_commands_beside_each_other(pair: tuple[str, str], tmp_path: Path, database_url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        both = [
            threads.submit(tallystick, *COMMANDS[name], folder=tmp_path, database_url=database_url) for name in pair
        ]
        ended = [each.result() for each in both]

    for command in ended:
        is_second_rebuild = pair == ("rebuild", "rebuild") and "another rebuild" in command.stderr
        assert command.returncode == (1 if is_second_rebuild else 0), command.stderr + command.stdout


def test_a_sound_ledger_holds_while_it_is_rebuilt_again_and_again(
    charging: list[str], tmp_path: Path, database_url: str
) -> None:
    verified, enough = 0, Event()

    def rebuild() -> None:
        while not enough.is_set():
            assert tallystick("rebuild", "--all", folder=tmp_path, database_url=database_url).returncode == 0

    with ThreadPoolExecutor(1) as threads:
        rebuilding = threads.submit(rebuild)
        try:
            for _ in range(5):
                ended = tallystick("verify", folder=tmp_path, database_url=database_url)
                assert ended.returncode == 0, ended.stdout + ended.stderr
                verified += 1
        finally:
            enough.set()
        rebuilding.result()
    assert verified == 5


def test_a_demo_is_written_beside_a_worker_that_records_what_is_due(tmp_path: Path, database_url: str) -> None:
    with running("renewals", folder=tmp_path, database_url=database_url, port=free_port()) as worker:
        worker.page("/livez")
        for seed in (1, 2):
            demo = ("demo", "--subscriptions", "30", "--events", "3000", "--seed", str(seed))
            written = tallystick(*demo, folder=tmp_path, database_url=database_url)
            assert written.returncode == 0, written.stderr
        worker.stop()
    verified = tallystick("verify", folder=tmp_path, database_url=database_url)
    assert verified.returncode == 0, verified.stdout
