"""kill -9 of a process that charges, while another one goes on: every acknowledged charge is stored, once.

`TALLYSTICK_KILLS` kills in the long form (1,000), `TALLYSTICK_SEED` for the same choices again.
"""

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.ledger.submission import Charged
from tests.conftest import SCHEMA
from tests.faults.seeds import seeded
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import BY, start, track

CHECKOUT = Path(__file__).parents[2]
PLAN = "max-pro-240000-yearly"

Generation = tuple[UUID, str]


class WriterProcess:
    """The charges that a writer process requested, and those that were acknowledged, until it was killed."""

    def __init__(self, database_url: str, name: str, ids: list[UUID], acknowledged_limit: int) -> None:
        self.requested: list[Generation] = []
        self.acknowledged: dict[Generation, int] = {}
        command = [sys.executable, "-m", "tests.faults.writer", database_url, SCHEMA, name, *map(str, ids)]
        with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:  # what is in the pipe when it is killed was written before
                self._note(line)
                if len(self.acknowledged) == acknowledged_limit:
                    process.kill()
        assert process.returncode == -9, "it lived until it was killed"

    def _note(self, line: str) -> None:
        match line.split():
            case ["requested", id, generation_id]:
                self.requested.append((UUID(id), generation_id))
            case ["acknowledged", id, generation_id, position]:
                self.acknowledged[UUID(id), generation_id] = int(position)
            case _:
                pytest.fail(f"the writer wrote: {line}")


def kill_writers(ledger: Ledger, database_url: str, random: Random, kills: int) -> None:
    """Run and kill so many writers, each on the same subscriptions as this process."""
    books = Books(database_url)
    requested, acknowledged = 0, 0
    ids = [start(ledger, PLAN) for _ in range(4)]
    for number in range(kills):
        if number % 20 == 19:
            ids = [start(ledger, PLAN) for _ in range(4)]
        writer = WriterProcess(database_url, f"writer-{number}", ids, acknowledged_limit=random.randrange(1, 60))
        stored = books.charged()
        assert writer.acknowledged.items() <= {key: charge.position for key, charge in stored.items()}.items()
        for id, generation_id in writer.requested:  # another process may retry
            answer = ledger.execute(id, track(generation_id), BY)
            assert isinstance(answer, Charged)
            assert answer.is_replay or (id, generation_id) not in stored
        requested, acknowledged = requested + len(writer.requested), acknowledged + len(writer.acknowledged)
    print(f"{kills} kills; {requested} charges requested, {acknowledged} acknowledged")
    assert len(books.charged()) == requested
    books.check()


@pytest.fixture
def survivor(database_url: str, catalogue: Catalogue) -> Ledger:
    """The ledger of the process that goes on."""
    return Ledger(database_url, SCHEMA, catalogue)


def test_acknowledged_charges_are_stored_once(survivor: Ledger, database_url: str) -> None:
    with survivor:
        kill_writers(survivor, database_url, seeded("killed writer"), kills=3)


@pytest.mark.long
def test_acknowledged_charges_are_stored_once_many_times_over(survivor: Ledger, database_url: str) -> None:
    with survivor:
        kill_writers(
            survivor, database_url, seeded("killed writer"), kills=int(os.environ.get("TALLYSTICK_KILLS", "1000"))
        )
