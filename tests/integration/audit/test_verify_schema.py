"""`verify` looks at the schema itself: what keeps events as they are, and what tells the service of balances."""

import pytest
from psycopg import sql

from services.integrity.verify.verification import Verification
from services.migrations import SERVICE_ROLE
from services.migrations.description import differences
from services.postgres.database import connect
from tests.conftest import SCHEMA
from tests.integration.audit.sound import SealedLedger, reasons_of

A_VIEW_THAT_LIES = (
    "ALTER TABLE tallystick.balance RENAME TO balance_rebuilt",
    "CREATE VIEW tallystick.balance AS SELECT * FROM tallystick.balance_rebuilt",
)
EVENTS = "ALTER TABLE tallystick.ledger_events"


@pytest.mark.parametrize(
    ("statements", "finding"),
    [
        (
            ("DROP TRIGGER ledger_events_are_kept ON tallystick.ledger_events",),
            "trigger ledger_events.ledger_events_are_",
        ),
        ((f"{EVENTS} DISABLE TRIGGER ledger_events_are_kept",), "refuse_change() disabled, not BEFORE"),
        ((f"{EVENTS} ENABLE ALWAYS TRIGGER ledger_events_are_kept",), "enabled A"),
        (
            (
                "CREATE OR REPLACE FUNCTION tallystick.refuse_change() RETURNS trigger LANGUAGE plpgsql"
                " AS 'BEGIN RETURN NULL; END'",
            ),
            "function refuse_change(): is plpgsql",
        ),
        (
            (f"{EVENTS} DROP CONSTRAINT ledger_events_pkey",),
            "constraint ledger_events.ledger_events_pkey: is not there",
        ),
        (
            ("DROP INDEX tallystick.ledger_events_notification_id_idx",),
            "index ledger_events.ledger_events_notification_",
        ),
        (
            ("ALTER TABLE tallystick.balance DROP CONSTRAINT balance_is_never_negative",),
            "constraint balance.balance_is_never_negative: is not there",
        ),
        (
            (
                "ALTER TABLE tallystick.balance DROP CONSTRAINT balance_is_never_negative",
                "ALTER TABLE tallystick.balance ADD CONSTRAINT balance_is_never_negative CHECK (true) NOT VALID",
            ),
            "is CHECK (true) NOT VALID, not CHECK (",
        ),
        (A_VIEW_THAT_LIES, "the schema, table balance: is view, "),
        (("ALTER TABLE tallystick.balance ALTER COLUMN position TYPE numeric",), "column balance.position: is numeric"),
        (("ALTER TABLE tallystick.usage ALTER COLUMN credits DROP NOT NULL",), "column usage.credits: is bigint, not"),
        (("ALTER TABLE tallystick.balance ALTER COLUMN held_credits SET DEFAULT 9",), "is bigint not null default 9"),
        (
            ("ALTER TABLE tallystick.balance ADD COLUMN mine text",),
            "column balance.mine: is there, and no migration made",
        ),
        (("CREATE TABLE tallystick.mine ()",), "table mine: is there, and no migration made it"),
        (("CREATE TABLE public.child () INHERITS (tallystick.balance)",), "its rows count among those of the table"),
        (
            ("ALTER TABLE tallystick.charges SET UNLOGGED",),
            "table charges: is table, not kept after a crash, not table",
        ),
        ((f"{EVENTS} ENABLE ROW LEVEL SECURITY",), "table ledger_events: is table, row security, not table"),
        (("CREATE POLICY mine ON tallystick.balance USING (false)",), "policy balance.mine"),
        (("CREATE RULE mine AS ON INSERT TO tallystick.refusals DO INSTEAD NOTHING",), "rule refusals.mine"),
        (
            (f"REVOKE INSERT ON tallystick.ledger_events FROM {SERVICE_ROLE}",),
            f"grant ledger_events to {SERVICE_ROLE}: is",
        ),
        (
            (f"GRANT UPDATE ON tallystick.ledger_events TO {SERVICE_ROLE}",),
            "is INSERT, SELECT, UPDATE, not INSERT, SELECT",
        ),
        (("GRANT DELETE ON tallystick.balance TO PUBLIC",), "grant balance to everybody: is there"),
        (
            (f"ALTER TABLE tallystick.balance OWNER TO {SERVICE_ROLE}",),
            "owner balance: is there, and no migration made it",
        ),
        (
            (f"REVOKE USAGE ON SCHEMA tallystick FROM {SERVICE_ROLE}",),
            f"grant the schema to {SERVICE_ROLE}: is not there",
        ),
    ],
)
def test_what_is_not_as_the_migrations_made_it_is_named(
    sealed: SealedLedger, statements: tuple[str, ...], finding: str
) -> None:
    with sealed.tampering() as connection:
        for statement in statements:
            connection.execute(statement)
        verified = sealed.check(connection)
    assert finding in reasons_of(verified)


def test_whoever_may_only_read_is_welcome(sealed: SealedLedger) -> None:
    with sealed.tampering() as connection:
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA tallystick TO PUBLIC")
        assert list(differences(connection, SCHEMA)) == []


def test_a_schema_that_cannot_be_read_is_said_to_be_wrong(sealed: SealedLedger) -> None:
    """Tables are gone, so nothing can be compared with them, and that is what does not hold."""
    rename = sql.SQL("ALTER TABLE tallystick.{} RENAME TO {}").format
    one, other = sql.Identifier("usage"), sql.Identifier("usage_elsewhere")
    with connect(sealed.database_url, autocommit=True) as owner:
        owner.execute(rename(one, other))
        try:
            verified = Verification(SCHEMA, sealed.trust()).run(sealed.database_url)
        finally:
            owner.execute(rename(other, one))
    found = reasons_of(verified)
    assert "the schema, table usage: is not there: table" in found
    assert "the rest: cannot be read" in found
    assert Verification(SCHEMA, sealed.trust()).run(sealed.database_url).holds
