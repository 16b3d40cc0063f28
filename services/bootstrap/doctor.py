"""Examines an installation part by part: what is well, and what keeps it from working."""

import os
import platform
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import Connection

from projections.positions import Positions
from services.bootstrap.database import BadDatabaseUrl, NoDatabase, database_url_of
from services.bootstrap.ledger import catalogue_of
from services.bootstrap.operator_errors import DATABASE_ERRORS, OPERATOR_ERRORS, WRONG_SETTINGS
from services.bootstrap.signing import has_quorum, key_file_of, policy_of, seals_of
from services.config import Settings
from services.integrity.sealing.status import LogStatuses
from services.ledger.clock_guard import machine_clock, refuse_difference
from services.ledger.ledger import utc_now
from services.migrations.revisions import missing_on
from services.postgres.database import connect

ROOM_BYTES = 512 * 2**20
"""Less free room than this is told of: a busy ledger fills it within hours."""
_PATIENCE_SECONDS = 3.0


class Finding(Struct, frozen=True):
    """What one check found: `ok`, or else `detail` says what to do. No detail shows a secret."""

    check: str
    ok: bool
    detail: str


class Unwell(RuntimeError):
    """A part is not as it must be; the message says why, and what to do."""


def examine(settings: Settings) -> list[Finding]:
    """Check every part. What rests on a database that does not answer is told as not checked."""
    findings = [
        _finding("versions", lambda: _versions(None)),
        _finding("catalogue", lambda: _catalogue(settings)),
        _finding("witnesses", lambda: _witnesses(settings)),
        _finding("data_dir", lambda: _data_dir(settings)),
        _finding("signing_key", lambda: _signing_key(settings)),
    ]
    try:
        with connect(database_url_of(settings), autocommit=True) as connection:
            findings[0] = _finding("versions", lambda: _versions(connection))
            findings += _examine_ledger(settings, connection)
    except (NoDatabase, BadDatabaseUrl, *DATABASE_ERRORS) as error:
        findings.append(Finding("database", ok=False, detail=_line(error)))
    findings.append(_finding("service", lambda: _service(settings)))
    return findings


def _examine_ledger(settings: Settings, connection: Connection[Any]) -> list[Finding]:
    findings = [
        _finding("database", lambda: _database(connection)),
        _finding("clock", lambda: _clock(connection)),
        schema := _finding("schema", lambda: _schema(settings, connection)),
    ]
    if schema.ok:
        findings.append(_finding("projections", lambda: _projections(settings, connection)))
        findings.append(_finding("log", lambda: _log(settings, connection)))
    return findings


def _finding(check: str, examine_part: Callable[[], str]) -> Finding:
    try:
        return Finding(check, ok=True, detail=examine_part())
    except (Unwell, *WRONG_SETTINGS, *OPERATOR_ERRORS, psycopg.Error) as error:
        return Finding(check, ok=False, detail=_line(error))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _versions(connection: Connection[Any] | None) -> str:
    ours = f"Tallystick {version('tallystick')}, Python {platform.python_version()}"
    if connection is None:
        return ours
    server = connection.info.parameter_status("server_version") or "unknown"
    return f"{ours}, PostgreSQL {server.partition(' ')[0]}"


def _catalogue(settings: Settings) -> str:
    catalogue = catalogue_of(settings)
    return f"{len(catalogue.plans)} plans, {len(catalogue.rate_cards)} rate cards"


def _witnesses(settings: Settings) -> str:
    policy = policy_of(settings)
    return "none are configured" if policy is None else f"{len(policy.witnesses)}, of which {policy.quorum} must cosign"


def _data_dir(settings: Settings) -> str:
    folder = settings.data_dir
    if not folder.exists():
        return f"{folder} is not there yet: the first start makes it"
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Unwell(f"{folder} cannot be written by this user")
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES:
        raise Unwell(f"{folder} has {free / 2**20:,.0f} MiB left: make room, since a full disk refuses every charge")
    return f"{folder} has {free / 2**30:,.1f} GiB left"


def _signing_key(settings: Settings) -> str:
    file = key_file_of(settings)
    if (key := file.read()) is not None:
        return f"{file.path}, key {key.key_id[:16]}"
    if any(seals_of(settings).folder.glob("*")):
        raise Unwell(f"{file.path} is missing, and there are seals: bring the key back before the sealer makes another")
    return f"{file.path} is not there yet: the first checkpoint makes it"


def _database(connection: Connection[Any]) -> str:
    row = connection.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool").fetchone()
    if row == (True,):
        raise Unwell("it takes no writes: it is a standby, or read-only")
    info = connection.info
    return f"{info.dbname} at {info.host or 'the local socket'}:{info.port}, as {info.user}"


def _clock(connection: Connection[Any]) -> str:
    before = machine_clock()
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    refuse_difference(row[0], before, machine_clock())
    return "within two seconds of the database's"


def _schema(settings: Settings, connection: Connection[Any]) -> str:
    if missing := missing_on(connection, settings.db_schema):
        raise Unwell(f"{settings.db_schema} lacks revisions {', '.join(missing)}: run `tallystick migrate`")
    return f"{settings.db_schema} is up to date"


def _projections(settings: Settings, connection: Connection[Any]) -> str:
    lags = Positions(settings.db_schema).lags(connection)
    for lag in lags:
        if lag.stopped_at_position is not None:
            because = f"stopped at event {lag.stopped_at_position}: {lag.stopped_because}"
            raise Unwell(f"{lag.projection} {because}; start a corrected version, or rebuild it")
    behind = max((lag.lag_events for lag in lags), default=0)
    return f"at most {behind:,} events behind"


def _log(settings: Settings, connection: Connection[Any]) -> str:
    statuses = LogStatuses(settings.db_schema, utc_now, has_witnesses=has_quorum(settings))
    status = statuses.now(connection)
    if status.refused is not None:
        raise Unwell(f"the sealer refuses ({status.refused}): run `tallystick verify`")
    age = status.checkpoint_age_seconds
    return "no checkpoint yet" if age is None else f"the newest checkpoint is {age:,.0f} s old"


def _service(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS):
            return f"{url} says ready"
    except urllib.error.HTTPError as error:
        error.close()
        raise Unwell(f"{url} answers {error.code}: its fields say which part is not ready") from None
    except OSError:
        return f"nothing answers at {url}"
