"""`tallystick projector` as a process: it catches up, publishes its lag, and stops on a signal."""

from pathlib import Path

import psycopg

from services.ledger.ledger import Ledger
from tests.conftest import SettableClock
from tests.integration.audit.lives import Lives
from tests.processes import running, tallystick
from tests.waiting import wait_until


def test_it_catches_up_publishes_its_lag_and_stops(
    ledger: Ledger, clock: SettableClock, database_url: str, tmp_path: Path
) -> None:
    lives = Lives(ledger, clock)
    lives.start(3)
    with running("projector", folder=tmp_path, database_url=database_url) as projector:
        assert projector.page("/livez") == "alive\n"
        lives.go_on(50)
        with psycopg.connect(database_url, autocommit=True) as connection:
            last = connection.execute("SELECT last_id FROM tallystick.head").fetchone()
            assert last is not None
        position = f'tallystick_projection_position{{projection="usage"}} {float(last[0])}'
        wait_until(lambda: position in projector.page("/metrics"))
        metrics = projector.page("/metrics")
        assert 'tallystick_projection_lag_events{projection="usage"} 0.0' in metrics
        assert 'tallystick_projection_stopped{projection="usage"} 0.0' in metrics
        projector.stop()


def test_a_schema_that_is_not_migrated_is_reported_in_one_line(database_url: str, tmp_path: Path) -> None:
    ended = tallystick("projector", "--no-http", folder=tmp_path, database_url=database_url, db_schema="elsewhere")
    assert ended.returncode == 1
    assert "run `tallystick migrate` first" in ended.stderr
    assert "Traceback" not in ended.stderr
