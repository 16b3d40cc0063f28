"""kill -9 of a process that writes, while another one goes on: what it had been told is there, once.

`TALLYSTICK_KILLS` kills in the long form (1,000), `TALLYSTICK_SEED` to see the same choices again.
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


class Life:
    """What a writer process asked and was told until it was killed."""

    def __init__(self, database_url: str, name: str, ids: list[UUID], told_limit: int) -> None:
        self.asked: list[Generation] = []
        self.told: dict[Generation, int] = {}
        command = [sys.executable, "-m", "tests.faults.writer", database_url, SCHEMA, name, *map(str, ids)]
        with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:  # what lies in the pipe when it is killed was said before
                self._hear(line)
                if len(self.told) == told_limit:
                    process.kill()
        assert process.returncode == -9, "it lived until it was killed"

    def _hear(self, line: str) -> None:
        match line.split():
            case ["asked", id, generation_id]:
                self.asked.append((UUID(id), generation_id))
            case ["told", id, generation_id, position]:
                self.told[UUID(id), generation_id] = int(position)
            case _:
                pytest.fail(f"the writer said: {line}")


def kill_writers(ledger: Ledger, database_url: str, random: Random, kills: int) -> None:
    """Let so many writers live for a while, each on the same subscriptions as this process."""
    books = Books(database_url)
    asked, told = 0, 0
    ids = [start(ledger, PLAN) for _ in range(4)]
    for number in range(kills):
        if number % 20 == 19:
            ids = [start(ledger, PLAN) for _ in range(4)]
        life = Life(database_url, f"life-{number}", ids, told_limit=random.randrange(1, 60))
        stored = books.charged()
        assert life.told.items() <= {key: charge.position for key, charge in stored.items()}.items()
        for id, generation_id in life.asked:  # by whom it is asked again does not matter
            answer = ledger.execute(id, track(generation_id), BY)
            assert isinstance(answer, Charged)
            assert answer.is_replay or (id, generation_id) not in stored
        asked, told = asked + len(life.asked), told + len(life.told)
    print(f"{kills} kills; {asked} charges asked for, {told} answered before the end")
    assert len(books.charged()) == asked
    books.check()


@pytest.fixture
def survivor(database_url: str, catalogue: Catalogue) -> Ledger:
    """The process that goes on."""
    return Ledger(database_url, SCHEMA, catalogue)


def test_what_it_was_told_is_there_once(survivor: Ledger, database_url: str) -> None:
    with survivor:
        kill_writers(survivor, database_url, seeded("killed writer"), kills=3)


@pytest.mark.long
def test_what_it_was_told_is_there_once_many_times_over(survivor: Ledger, database_url: str) -> None:
    with survivor:
        kill_writers(
            survivor, database_url, seeded("killed writer"), kills=int(os.environ.get("TALLYSTICK_KILLS", "1000"))
        )
