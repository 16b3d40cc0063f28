"""A projector that is killed at any moment goes on sealing where it was, and is never taken for an attacker."""

import random
import time
from pathlib import Path
from typing import Any

from psycopg import Connection

from services.integrity.sealing.seals import Seals
from services.integrity.sealing.store import LogStore
from tests.conftest import SCHEMA
from tests.faults.seeds import seeded
from tests.integration.audit.lives import Lives
from tests.processes import running, tallystick

KILLS = 8


def test_sealing_goes_on_after_kills(
    lives: Lives, connection: Connection[Any], database_url: str, tmp_path: Path
) -> None:
    rng: random.Random = seeded("killed sealers")
    for _ in range(KILLS):
        with running("projector", folder=tmp_path, database_url=database_url, checkpoint_seconds=0.001) as projector:
            projector.page("/livez")
            give_up_at = time.monotonic() + rng.uniform(0.05, 0.6)
            while time.monotonic() < give_up_at:
                lives.go_on(3)
            projector.kill()
    sealed = tallystick("checkpoint", folder=tmp_path, database_url=database_url)
    assert sealed.returncode == 0, sealed.stderr
    life = Seals(tmp_path / "seals" / SCHEMA).life()
    assert life is not None
    for log in life.files:
        kept = [str(note) for note in life.files[log].notes()]
        stored = LogStore(SCHEMA, log).newest_first(connection, limit=100_000)
        assert [each.signed_note for each in stored[::-1]] == kept, "each note that was signed, once"
    verified = tallystick("verify", folder=tmp_path, database_url=database_url)
    assert verified.returncode == 0, verified.stdout
