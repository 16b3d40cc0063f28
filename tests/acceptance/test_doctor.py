"""`tallystick doctor` says what is well, and in a line each what is not, without a secret."""

import json
from pathlib import Path
from typing import Any

import psycopg

from tests.conftest import SCHEMA
from tests.processes import free_port, tallystick

PASSWORD = "hunter2 hunter2"


def examined(folder: Path, **settings: object) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run it; return its status, and its findings by check."""
    ended = tallystick("doctor", "--json", folder=folder, port=free_port(), **settings)
    findings = json.loads(ended.stdout)["data"]
    assert all(set(each) == {"check", "ok", "detail"} for each in findings)
    assert "Traceback" not in ended.stderr
    return ended.returncode, {each["check"]: each for each in findings}


def wrong(findings: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The details of what is not well."""
    return {name: each["detail"] for name, each in findings.items() if not each["ok"]}


def test_all_is_well(database_url: str, tmp_path: Path) -> None:
    status, findings = examined(tmp_path, database_url=database_url)

    assert (status, wrong(findings)) == (0, {})
    checks = "settings versions catalogue witnesses data_dir signing_key database clock schema projections log service"
    assert list(findings) == checks.split()
    assert "PostgreSQL 1" in findings["versions"]["detail"]


def test_it_is_a_table_for_people(database_url: str, tmp_path: Path) -> None:
    ended = tallystick("doctor", folder=tmp_path, database_url=database_url, port=free_port())

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "tallystick is up to date" in ended.stdout


def test_wrong_settings_are_named_without_their_values(tmp_path: Path) -> None:
    status, findings = examined(tmp_path, workers=0, bootstrap_key="short")

    assert (status, list(findings)) == (1, ["settings"])
    ended = tallystick("doctor", folder=tmp_path, workers=0, bootstrap_key="short")
    assert "TALLYSTICK_WORKERS" in ended.stdout
    assert "TALLYSTICK_BOOTSTRAP_KEY" in ended.stdout
    assert "short" not in ended.stdout


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    for url in (
        f"postgresql://tallystick:{PASSWORD}@127.0.0.1:{free_port()}/tallystick",
        f"postgresql://tallystick:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{free_port()}/tallystick",
    ):
        status, findings = examined(tmp_path, database_url=url)

        assert (status, list(wrong(findings))) == (1, ["database"])
        assert "hunter2" not in json.dumps(findings)


def test_no_database(tmp_path: Path) -> None:
    status, findings = examined(tmp_path)

    assert status == 1
    assert "`tallystick serve` starts one" in wrong(findings)["database"]


def test_a_schema_of_another_version(database_url: str, tmp_path: Path) -> None:
    for revision, advice in (("0001", "tallystick migrate"), ("9999", "the version that migrated it")):
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE tallystick.alembic_version SET version_num = %s", [revision])

        status, findings = examined(tmp_path, database_url=database_url)

        assert (status, list(wrong(findings))) == (1, ["schema"])
        assert advice in wrong(findings)["schema"]


def test_a_projection_that_is_stopped_and_a_key_that_is_missing(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO tallystick.projection_positions (projection, stopped_at_position, stopped_because)"
            " VALUES ('usage', 7, 'ValueError: no') ON CONFLICT (projection) DO UPDATE"
            " SET stopped_at_position = 7, stopped_because = 'ValueError: no'"
        )
    seals = tmp_path / "seals" / SCHEMA
    seals.mkdir(parents=True)
    (seals / "events").write_text("a seal")

    status, findings = examined(tmp_path, database_url=database_url)

    assert (status, set(wrong(findings))) == (1, {"projections", "signing_key"})
    assert "usage stopped at event 7: ValueError: no" in wrong(findings)["projections"]


def test_a_catalogue_with_a_mistake(database_url: str, tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text("[[plans]]\nid = 5\n")

    status, findings = examined(tmp_path, database_url=database_url, catalogue=catalogue)

    assert (status, list(wrong(findings))) == (1, ["catalogue"])
    assert "catalogue.toml" in wrong(findings)["catalogue"]
