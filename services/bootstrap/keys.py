"""Opens the ring of API keys, and makes sure that a new ledger has a first key."""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.bootstrap.database import migrated_url_of
from services.config import Settings
from services.keys import FIRST_KEY_ID, KeyRing, NewKey, new_secret
from services.postgres.database import reading_pool
from services.process.files import write_private_file


@contextmanager
def open_key_ring(settings: Settings) -> Iterator[KeyRing]:
    """The API keys of the ledger. Raises NoDatabase, NotMigrated."""
    with reading_pool(migrated_url_of(settings), size=1) as connections:
        yield KeyRing(connections, settings.db_schema, operator())


def forget_first_key(settings: Settings, key_id: str) -> bool:
    """Delete the file of the first key, where that is the key that was revoked; return whether there was one."""
    file = _first_key_file(settings)
    if key_id != FIRST_KEY_ID or not file.exists():
        return False
    file.unlink()
    return True


def replace_first_key(settings: Settings, key: NewKey) -> bool:
    """Keep the new secret of the first key in its file, where it has one; return whether it has."""
    file = _first_key_file(settings)
    if key.key_id != FIRST_KEY_ID or not file.exists():
        return False
    write_private_file(file, f"{key.key}\n".encode(), may_replace=True)
    return True


def operator() -> str:
    """Say who runs this process, as user@machine; it is recorded with what is done to keys."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _first_key_file(settings: Settings) -> Path:
    return settings.data_dir / "bootstrap.key"


def ensure_first_key(settings: Settings, database_url: str) -> str | None:
    """Put the configured key with every scope into the ledger; where none is configured, make one up.

    Returns the key where this made it up, to be shown once: on an embedded database without a key. It is also kept
    in `bootstrap.key` in the data directory.
    """
    with reading_pool(database_url, size=1) as connections:
        keys = KeyRing(connections, settings.db_schema, operator())
        ensure_configured_key(settings, keys)
        if settings.bootstrap_key is not None or settings.url or keys.list():
            return None
        key = new_secret(FIRST_KEY_ID)
        write_private_file(_first_key_file(settings), f"{key}\n".encode(), may_replace=True)
        keys.ensure_bootstrap(key)
        return key


def ensure_configured_key(settings: Settings, keys: KeyRing) -> None:
    """Put the configured key with every scope into the ledger; nothing where none is configured."""
    if settings.bootstrap_key is not None:
        keys.ensure_bootstrap(settings.bootstrap_key.get_secret_value())
