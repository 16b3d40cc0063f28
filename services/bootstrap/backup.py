"""Backs up the configured ledger, and restores one into the configured data directory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.backup.archive import Archive, Manifest
from services.backup.following import Follower, Outside
from services.backup.recovering import Target
from services.backup.restoring import Restored, restored
from services.bootstrap.database import migrated_url_of
from services.bootstrap.signing import key_file_of
from services.config import Settings
from services.integrity.sealing.seals import Seals
from services.postgres.embedded import EmbeddedPostgres


def back_up(
    settings: Settings,
    folder: Path,
    *,
    follow: bool,
    is_stopped: Callable[[], bool],
    on_base: Callable[[Manifest], None],
) -> None:
    """Back up the ledger into a new folder, and follow it there until it is stopped, if that is asked for.

    Raises BadBackup, ProgramFailed, NoDatabase, NotMigrated, BadDatabaseUrl, psycopg.Error, OSError.
    """
    url, archive = migrated_url_of(settings), Archive(folder)
    archive.begin()
    keys = [key_file_of(settings).path, settings.data_dir / "bootstrap.key"]
    follower = Follower(url, settings.db_schema, archive, Outside(keys, settings.data_dir / "seals"))
    if follow:
        follower.follow(is_stopped, on_base)
    else:
        on_base(follower.take_base())


@contextmanager
def restore(settings: Settings, folder: Path, target: Target, on_wait: Callable[[str], None]) -> Iterator[Restored]:
    """Restore a back-up into the data directory. Raises as `restored` does."""

    def make_server() -> EmbeddedPostgres:
        return EmbeddedPostgres(settings.data_dir / "postgres", on_wait=on_wait)

    def make_seals(schema: str) -> Seals:
        return Seals(settings.data_dir / "seals" / schema)

    with restored(Archive(folder), settings.data_dir, target, make_server, make_seals) as result:
        yield result
