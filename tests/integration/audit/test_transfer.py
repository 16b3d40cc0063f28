"""An export has a ledger to the byte, and an import makes the same ledger of it, or none."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import Connection, sql

from services.catalogue import Catalogue
from services.integrity.verify.trust import Trust
from services.integrity.verify.verification import Verification
from services.ledger.ledger import Ledger
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres
from services.process.progress import report_nothing
from services.subscription.commands import StartSubscription
from services.transfer.exporting import Export
from services.transfer.importing import DoesNotHold, Import
from services.transfer.lines import NotAnExport
from tests.conftest import SCHEMA, TEMPLATE, SettableClock
from tests.integration.audit.lives import BY, Lives
from tests.processes import tallystick

AN_INSTANT = datetime(2026, 1, 15, 12, tzinfo=UTC)
SAME = {
    "ledger_events": "notification_id",
    "refusals": "subscription_id, generation_id, version",
    "test_clocks": "test_clock_id",
    "balance": "subscription_id",
    "charges": "subscription_id, generation_id",
    "head": "last_id",
}


@pytest.fixture
def exported(ledger: Ledger, clock: SettableClock, database_url: str, tmp_path: Path) -> Path:
    """The export of a ledger with refusals, disputes and a subscription on a test clock."""
    with connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO tallystick.test_clocks VALUES ('clock-1', '2030-01-01', now())")
        started = ledger.execute(uuid4(), StartSubscription("account", "ai-starter-7500-monthly", "clock-1"), BY)
        assert type(started).__name__ == "Done"
        lives = Lives(ledger, clock, seed=3)
        lives.start(5)
        lives.go_on(200)
        return export(connection, tmp_path / "ledger.ndjson")


def export(connection: Connection[Any], path: Path) -> Path:
    with path.open("wb") as file:
        Export(SCHEMA).write(connection, file, AN_INSTANT, report_nothing)
    return path


def import_(connection: Connection[Any], path: Path) -> None:
    with path.open("rb") as file:
        Import(connection, SCHEMA, report_nothing).read(file)


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Another database, migrated and empty."""
    with another_database(postgres) as url:
        yield url


@contextmanager
def another_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    name = f"imported_{os.getpid()}_{uuid4().hex[:8]}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
    yield postgres.url.replace("@/tallystick?", f"@/{name}?")
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def rows(connection: Connection[Any]) -> dict[str, list[Any]]:
    return {
        table: connection.execute(
            f"SELECT to_jsonb(each) - 'refusal_id' FROM tallystick.{table} AS each ORDER BY {key}"
        ).fetchall()
        for table, key in SAME.items()
    }


def test_what_was_exported_comes_back_to_the_byte_and_lives_on(
    exported: Path, database_url: str, empty_url: str, catalogue: Catalogue, clock: SettableClock, tmp_path: Path
) -> None:
    imported = tallystick("import", str(exported), folder=tmp_path, database_url=empty_url)

    assert imported.returncode == 0, imported.stderr
    with connect(database_url) as one, connect(empty_url, autocommit=True) as other:
        before = rows(one)
        assert rows(other) == before
        assert all(before[table] for table in SAME), "none of it was empty"
        assert Verification(SCHEMA, Trust()).run(empty_url).findings == ()
    with Ledger(empty_url, SCHEMA, catalogue, clock=clock) as ledger:
        lives = Lives(ledger, clock, seed=4)
        lives.start(2)
        lives.go_on(30)
    assert tallystick("verify", folder=tmp_path, database_url=empty_url).returncode == 0
    assert (
        "No row of the tables in use differed"
        in tallystick("rebuild", "--all", folder=tmp_path, database_url=empty_url).stdout
    )


def test_an_export_goes_on_where_the_one_before_ended(
    exported: Path, ledger: Ledger, clock: SettableClock, database_url: str, empty_url: str, tmp_path: Path
) -> None:
    def command(*arguments: str, url: str) -> str:
        ended = tallystick(*arguments, folder=tmp_path, database_url=url)
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    command("import", str(exported), url=empty_url)
    with connect(database_url) as connection:
        (last,) = connection.execute("SELECT last_id FROM tallystick.head").fetchone() or (0,)
    lives = Lives(ledger, clock, seed=5)
    lives.start(2)
    lives.go_on(60)

    command("export", "rest.ndjson", "--after", str(last), url=database_url)
    positions = [json.loads(line).get("position") for line in (tmp_path / "rest.ndjson").read_text().splitlines()]
    assert min(filter(None, positions)) == last + 1
    told = command("import", "rest.ndjson", url=empty_url)

    assert "all of it holds" in told
    with connect(database_url) as one, connect(empty_url) as other:
        assert rows(other) == rows(one)
    again = tallystick("import", "rest.ndjson", folder=tmp_path, database_url=empty_url)
    assert again.returncode == 1
    assert f"the file goes on after event {last}, and the last one here is " in again.stderr
    beyond = tallystick("export", "-", "--after", "999999", folder=tmp_path, database_url=database_url)
    assert (beyond.returncode, beyond.stderr.count("\n")) == (1, 1)
    command("verify", url=empty_url)


def test_an_export_by_command_is_the_same(exported: Path, database_url: str, tmp_path: Path) -> None:
    piped = tallystick("export", "-", folder=tmp_path, database_url=database_url).stdout.splitlines()
    written = tallystick("export", "again.ndjson", folder=tmp_path, database_url=database_url)
    assert written.returncode == 0, written.stderr
    for lines in (piped, (tmp_path / "again.ndjson").read_text().splitlines()):
        assert lines[1:-1] == exported.read_text().splitlines()[1:-1], (
            "all but the instant in the header, and the digest over it"
        )
    assert not (tmp_path / "again.ndjson.unfinished").exists()


def test_lines_can_be_read_by_anybody(exported: Path, database_url: str) -> None:
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds[0] == "tallystick_export"
    assert kinds[-1] == "end"
    assert set(kinds[1:-1]) == {"test_clock", "event", "refusal"}
    with connect(database_url) as connection:
        stored = connection.execute(
            "SELECT notification_id, encode(previous_hash, 'hex'), convert_from(state, 'UTF8')"
            " FROM tallystick.ledger_events ORDER BY 1"
        ).fetchall()
    events = [line for line in lines if line["kind"] == "event"]
    assert [(line["position"], line["previous_hash"], line["state"]) for line in events] == stored


def test_a_ledger_that_is_there_is_not_touched(exported: Path, database_url: str, tmp_path: Path) -> None:
    with connect(database_url) as connection:
        before = rows(connection)
    refused = tallystick("import", str(exported), folder=tmp_path, database_url=database_url)
    assert refused.returncode == 1
    assert "there is a ledger in the schema tallystick already" in refused.stderr
    with connect(database_url) as connection:
        assert rows(connection) == before


def cut(lines: list[str]) -> list[str]:
    return lines[:-1]


def cut_in_a_line(lines: list[str]) -> list[str]:
    return [*lines[:-2], lines[-2][:20]]


def without_one_event(lines: list[str]) -> list[str]:
    return [line for line in lines if '"position":7,' not in line]


def without_one_refusal(lines: list[str]) -> list[str]:
    place = next(place for place, line in enumerate(lines) if '"kind":"refusal"' in line)
    return lines[:place] + lines[place + 1 :]


def with_another_account(lines: list[str]) -> list[str]:
    return [line.replace("account-1", "account-2") for line in lines]


def with_an_end_twice(lines: list[str]) -> list[str]:
    return [*lines, lines[-1]]


def with_two_events_exchanged(lines: list[str]) -> list[str]:
    places = [place for place, line in enumerate(lines) if '"kind":"event"' in line]
    lines[places[4]], lines[places[5]] = lines[places[5]], lines[places[4]]
    return lines


def of_another_form(lines: list[str]) -> list[str]:
    return [lines[0].replace('"form":2', '"form":1'), *lines[1:]]


def of_nothing(_lines: list[str]) -> list[str]:
    return []


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        cut_in_a_line,
        without_one_event,
        without_one_refusal,
        with_another_account,
        with_an_end_twice,
        with_two_events_exchanged,
        of_another_form,
        of_nothing,
    ],
)
def test_a_damaged_export_leaves_nothing(exported: Path, empty_url: str, tmp_path: Path, damage: Any) -> None:
    damaged = tmp_path / "damaged.ndjson"
    damaged.write_text("\n".join(damage(exported.read_text().splitlines())) + "\n")

    with connect(empty_url, autocommit=True) as connection:
        with pytest.raises((NotAnExport, DoesNotHold)):
            import_(connection, damaged)
        assert {table: left for table, left in rows(connection).items() if left} == {
            "head": [({"last_id": 0, "only_row": True},)]
        }
