"""Finds the key that signs checkpoints and the seals, both outside the database, and makes the sealer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from services.bootstrap.database import connect_migrated
from services.config import Settings
from services.integrity.sealing.reader import LogReader
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.sealing.store import EVENTS, LogName
from services.integrity.signing import KeyFile
from services.ledger.ledger import utc_now
from services.log.policy import NONE, BadPolicy, Policy


def key_file_of(settings: Settings) -> KeyFile:
    """The file of the key that signs checkpoints and evidence."""
    return KeyFile(settings.signing_key or settings.data_dir / "signing.key")


def seals_of(settings: Settings) -> Seals:
    """The seals: by schema, since each is a ledger of its own."""
    return Seals(settings.data_dir / "seals" / settings.db_schema)


def sealer_of(settings: Settings) -> Sealer:
    """The sealer of the configured ledger."""
    return Sealer(settings.db_schema, key_file_of(settings), seals_of(settings), settings.log_origin, utc_now)


class UnfitPolicy(ValueError):
    """The file of witnesses is no policy, or cannot be read."""


def policy_of(settings: Settings) -> Policy | None:
    """The policy of witnesses; None where none is configured. Raises UnfitPolicy."""
    if settings.witnesses is None:
        return None
    try:
        policy = Policy.parse(settings.witnesses.read_bytes())
    except OSError as error:
        raise UnfitPolicy(f"TALLYSTICK_WITNESSES: {settings.witnesses} cannot be read: {error.strerror}") from None
    except BadPolicy as error:
        raise UnfitPolicy(f"TALLYSTICK_WITNESSES: {settings.witnesses}: {error}") from None
    for witness in policy.witnesses.values():
        if witness.url is not None and not witness.url.startswith(("http://", "https://")):
            raise UnfitPolicy(f"TALLYSTICK_WITNESSES: {settings.witnesses}: {witness.url} is no http or https address")
    return policy


def has_quorum(settings: Settings) -> bool:
    """Whether checkpoints need cosignatures of witnesses. Raises UnfitPolicy."""
    policy = policy_of(settings)
    return policy is not None and policy.quorum != NONE


def log_reader_of(settings: Settings, log: LogName = EVENTS) -> LogReader:
    """What reads a log of the configured ledger, for those who follow it."""
    return LogReader(settings.db_schema, log, seals_of(settings))


@contextmanager
def open_sealer(settings: Settings) -> Iterator[tuple[Sealer, Connection[Any]]]:
    """The sealer, and a connection to make checkpoints on. Raises NoDatabase, NotMigrated."""
    with connect_migrated(settings) as connection:
        yield sealer_of(settings), connection
