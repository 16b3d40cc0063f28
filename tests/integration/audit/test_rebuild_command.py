"""`tallystick rebuild`: what it prints and how it ends."""

from pathlib import Path

import psycopg

from projections.registry import PROJECTIONS
from services.ledger.ledger import Ledger
from tests.conftest import SettableClock
from tests.integration.audit.lives import Lives
from tests.processes import tallystick


def test_it_prints_what_it_rebuilt_and_what_had_been_wrong(
    ledger: Ledger, clock: SettableClock, database_url: str, tmp_path: Path
) -> None:
    lives = Lives(ledger, clock)
    lives.start(3)
    lives.go_on(40)

    rebuilt = tallystick("rebuild", "--all", folder=tmp_path, database_url=database_url)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert rebuilt.stdout.startswith(f"Rebuilt {', '.join(each.table for each in PROJECTIONS)} from ")
    assert rebuilt.stderr.startswith("Reading events ..."), "plain lines, since this is no terminal"

    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM tallystick.balance WHERE subscription_id = %s", [lives.subscription_ids[0]])
    corrected = tallystick("rebuild", "balance", folder=tmp_path, database_url=database_url)
    assert corrected.returncode == 0, corrected.stderr
    assert f"balance: 1 row had not been there, first {lives.subscription_ids[0]}" in corrected.stdout
    again = tallystick("rebuild", "balance", "renewal", folder=tmp_path, database_url=database_url)
    assert "No row of the tables in use differed" in again.stdout


def test_wrong_use_ends_with_status_2(database_url: str, tmp_path: Path) -> None:
    for arguments in ([], ["weather"], ["balance", "--all"]):
        ended = tallystick("rebuild", *arguments, folder=tmp_path, database_url=database_url)
        assert ended.returncode == 2, ended.stderr
        assert "Traceback" not in ended.stderr
