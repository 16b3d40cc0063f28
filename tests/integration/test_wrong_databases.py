"""What is wrong with a database is said in one line, which shows no password, by every command."""

import tempfile
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from services.postgres.embedded import EmbeddedPostgres
from tests.processes import tallystick

COMMANDS = (
    ["serve"],
    ["api"],
    ["renewals"],
    ["projector"],
    ["migrate"],
    ["keys", "list"],
    ["verify"],
    ["rebuild", "--all"],
)
SECRET = "s3cret"


def _said(url: str, *command: str) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as folder:
        ended = tallystick(*command, folder=Path(folder), database_url=url, port=0)
    assert SECRET not in ended.stdout + ended.stderr
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET} with a space@127.0.0.1/x",
        f"mysql://user:{SECRET}@127.0.0.1/x",
        f"postgresql://user:{SECRET}@127.0.0.1/x?no_such_option=1",
    ],
    ids=["space", "scheme", "option"],
)
@pytest.mark.parametrize("command", COMMANDS[:2], ids=" ".join)
def test_a_url_of_another_form_is_wrong_use(url: str, command: list[str]) -> None:
    status, said = _said(url, *command)

    assert (status, said.count("\n")) == (2, 1), said
    assert said.startswith("TALLYSTICK_DATABASE_URL: ")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_address_where_no_server_is_takes_a_line(command: list[str]) -> None:
    status, said = _said(f"postgresql://user:{SECRET}@127.0.0.1:1/x", *command)

    assert (status, said.count("\n")) == (1, 1), said
    assert said.startswith("PostgreSQL: ")
    assert "refused" in said


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("dbname", 'database "nowhere" does not exist'),
        ("user", 'role "nowhere" does not exist'),
        ("host", "No such file or directory"),
    ],
)
def test_another_database_role_or_host_takes_a_line(database_url: str, part: str, expected: str) -> None:
    url = psycopg.conninfo.make_conninfo(database_url, **{part: "/nowhere" if part == "host" else "nowhere"})

    status, said = _said(url, "migrate")

    assert (status, said.count("\n")) == (1, 1), said
    assert expected in said


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_takes_a_line(
    postgres: EmbeddedPostgres, database_url: str, encoding: str
) -> None:
    name = f"{conninfo_to_dict(database_url)['dbname']}_{encoding}".lower()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0")
        connection.execute(create.format(sql.Identifier(name), sql.Literal(encoding)))
    try:
        status, said = _said(psycopg.conninfo.make_conninfo(database_url, dbname=name), "serve")
    finally:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    assert status == 1
    assert said == f"PostgreSQL: the database's encoding is {encoding}: make one with UTF8\n"


@pytest.mark.parametrize("command", [["api"], ["migrate"], ["verify"]], ids=" ".join)
def test_a_schema_of_a_later_version_takes_a_line(database_url: str, command: list[str]) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE tallystick.alembic_version SET version_num = '9999'")

    status, said = _said(database_url, *command)

    assert (status, said.count("\n")) == (1, 1), said
    assert "is at revision 9999" in said
