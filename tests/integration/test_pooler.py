"""A pooler before the database in transaction mode: one that follows prepared statements does, another is found out."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres
from services.postgres.embedded.account import server_account
from services.postgres.sessions import UnfitServer, require_prepared_statements
from tests.conftest import SCHEMA
from tests.integration.ledger.lanes import charge, start
from tests.processes import free_port
from tests.waiting import wait_until

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")


@pytest.fixture
def pooled_url(postgres: EmbeddedPostgres, database_url: str, tmp_path: Path) -> Iterator[str]:
    if PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed here")
    address = conninfo_to_dict(database_url)
    port = free_port()
    folder = tmp_path / "pooler"
    folder.mkdir()
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={address['host']} port={address.get('port', 5432)} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = transaction\n"
        "unix_socket_dir =\n"
    )
    account = server_account(folder)
    account.take(folder)
    account.reach(folder)
    settings.chmod(0o644)
    url = make_conninfo(host="127.0.0.1", port=port, dbname=address["dbname"], user="postgres")
    with subprocess.Popen(
        [PGBOUNCER, settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **account.program_options()
    ) as pooler:
        try:
            wait_until(lambda: _answers(url))
            yield url
        finally:
            pooler.kill()


def _answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(url):
        return True
    return False


def test_a_pooler_is_taken_if_it_follows_prepared_statements(pooled_url: str, catalogue: Catalogue) -> None:
    assert PGBOUNCER is not None
    told = subprocess.run([PGBOUNCER, "--version"], check=True, capture_output=True, text=True).stdout
    version = tuple(map(int, re.findall(r"[0-9]+", told)[:2]))

    def check() -> None:
        require_prepared_statements(lambda: connect(pooled_url, autocommit=True))

    if version < (1, 21):
        with pytest.raises(UnfitServer, match=r"PgBouncer from 1\.21"):
            check()
        return
    check()
    with Ledger(pooled_url, SCHEMA, catalogue) as one, Ledger(pooled_url, SCHEMA, catalogue) as other:
        id = start(one)
        for number in range(10):
            charge((one, other)[number % 2], id, f"track-{number}")


def test_no_pooler_is_taken_for_one(database_url: str) -> None:
    require_prepared_statements(lambda: connect(database_url, autocommit=True))
