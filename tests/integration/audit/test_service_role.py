"""The service's own role in PostgreSQL does all that a service needs, and cannot change what was recorded."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from projections.engine import Engine
from projections.rebuilding.rebuild import Rebuild
from services.catalogue import Catalogue
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.signing import KeyFile
from services.integrity.verify.trust import Trust
from services.integrity.verify.verification import Verification
from services.ledger.ledger import Ledger
from services.ledger.mapper import decode_event
from services.migrations import SERVICE_ROLE
from services.migrations.migrate import migrate
from services.migrations.revisions import missing_revisions
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres
from tests.conftest import SCHEMA, SettableClock
from tests.integration.audit.lives import Lives
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture
def service_url(database_url: str) -> str:
    """The URL that a service with the lesser role connects to."""
    with connect(database_url, autocommit=True) as owner:
        owner.execute(f"ALTER ROLE {SERVICE_ROLE} LOGIN")
    return database_url.replace("postgres@", f"{SERVICE_ROLE}@")


@pytest.fixture
def service(service_url: str) -> Iterator[Connection[Any]]:
    with connect(service_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def lives(service_url: str, catalogue: Catalogue, clock: SettableClock) -> Iterator[Lives]:
    """A ledger that the service's role writes, snapshots, refusals and disputes included."""
    with Ledger(service_url, SCHEMA, catalogue, clock=clock, snapshot_interval=5) as ledger:
        lives = Lives(ledger, clock)
        lives.start(4)
        lives.go_on(150)
        yield lives


def test_it_does_all_that_a_service_does(
    lives: Lives, service_url: str, service: Connection[Any], clock: SettableClock, tmp_path: Any, database_url: str
) -> None:
    assert service.execute("SELECT current_user").fetchone() == (SERVICE_ROLE,)
    projector = Engine(lambda: connect(service_url), SCHEMA, decode_event)
    assert projector.catch_up(service, timeout_seconds=PATIENCE_SECONDS)
    assert Sealer(SCHEMA, KeyFile(tmp_path / "key"), Seals(tmp_path / "seals"), None, clock).seal(service)
    assert missing_revisions(service_url, SCHEMA) == []
    assert Verification(SCHEMA, Trust()).run(service_url).findings == ()
    assert Rebuild(database_url, SCHEMA, (), decode_event).run().differences == ()
    lives.go_on(30)
    assert projector.catch_up(service, timeout_seconds=PATIENCE_SECONDS), (
        "what the owner has rebuilt, the service still writes"
    )


@pytest.mark.parametrize("table", ["ledger_events", "refusals", "log_checkpoints", "log_keys"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"])
def test_it_cannot_change_what_was_recorded(service: Connection[Any], table: str, change: str) -> None:
    column = {"ledger_events": "topic", "refusals": "code", "log_checkpoints": "root", "log_keys": "vkey"}[table]
    statement = change.format(f"tallystick.{table}", column, column)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(statement)


@pytest.mark.parametrize(
    "way",
    [
        "ALTER TABLE tallystick.ledger_events DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "DROP TRIGGER ledger_events_are_kept ON tallystick.ledger_events",
        "CREATE OR REPLACE FUNCTION tallystick.refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
        "UPDATE tallystick.alembic_version SET version_num = '0001'",
        "CREATE TABLE tallystick.other (id bigint)",
        "SET ROLE postgres",
    ],
)
def test_it_cannot_get_around_that(service: Connection[Any], way: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidFunctionDefinition)):
        service.execute(way)


def test_rights_that_are_missing_come_back_with_a_migration_that_has_nothing_else_to_do(
    service_url: str, database_url: str
) -> None:
    with connect(database_url, autocommit=True) as owner:
        owner.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA tallystick FROM {SERVICE_ROLE}")
    assert migrate(database_url, SCHEMA) == []
    with connect(service_url) as service:
        assert service.execute("SELECT last_id FROM tallystick.head").fetchone() == (0,)


def test_a_user_who_may_not_make_roles_migrates_all_the_same(postgres: EmbeddedPostgres) -> None:
    """The role is of the whole server: it is out of the way under another name meanwhile."""
    with psycopg.connect(postgres.url, autocommit=True) as owner:
        owner.execute("CREATE ROLE tenant LOGIN")
        owner.execute(sql.SQL("ALTER ROLE {} RENAME TO away").format(sql.Identifier(SERVICE_ROLE)))
        owner.execute("CREATE DATABASE tenants OWNER tenant")
        try:
            url = postgres.url.replace("postgres@/tallystick?", "tenant@/tenants?")
            assert migrate(url, SCHEMA)
            assert migrate(url, SCHEMA) == []
            with connect(url) as tenant:
                assert tenant.execute("SELECT last_id FROM tallystick.head").fetchone() == (0,)
        finally:
            owner.execute("DROP DATABASE tenants WITH (FORCE)")
            owner.execute("DROP ROLE tenant")
            owner.execute(sql.SQL("ALTER ROLE away RENAME TO {}").format(sql.Identifier(SERVICE_ROLE)))
