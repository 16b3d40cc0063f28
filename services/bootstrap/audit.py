"""The composition root of the projector, and of what operators and auditors run: rebuilds, checkpoints, checks."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, BinaryIO

from psycopg import Connection

from projections.rebuilding.rebuild import Progress, Rebuild, Rebuilt
from services.bootstrap.serving import key_file_of as key_file_of
from services.bootstrap.serving import migrated_url, receipts_of, sealer_of
from services.config import Settings
from services.integrity.checkpointer import Checkpointer
from services.integrity.sealing import Sealer
from services.integrity.verify import command as verification
from services.integrity.verify.order import Trust
from services.ledger.ledger import utc_now
from services.ledger.mapper import decode_event
from services.postgres.database import connect
from services.process.projector import Projector, catch_up_projections
from services.process.status_page import status_page
from services.transfer.exporting import Export
from services.transfer.importing import Import
from services.transfer.lines import End


def run_projector(settings: Settings, stopping: threading.Event, *, has_status_page: bool) -> None:
    """Catch projections up until told to stop. Raises NoDatabase, NotMigrated, OSError for a port that is taken."""
    connect_here = partial(connect, migrated_url(settings))
    projector = Projector(connect_here, settings.db_schema)
    with ExitStack() as parts:
        if has_status_page:
            page = status_page(settings.host, settings.port, projector.registry, projector.find_trouble)
            parts.enter_context(page)
        if settings.checkpoint_seconds:
            checkpointer = Checkpointer(
                connect_here, sealer_of(settings), settings.checkpoint_seconds, projector.registry
            )
            checkpointer.start()
            parts.callback(checkpointer.stop)
        projector.run(stopping)


def rebuild(settings: Settings, names: Iterable[str], on_progress: Callable[[Progress], None]) -> Rebuilt:
    """Rebuild projections, all where none is named. Raises UnknownProjection, and what `Rebuild.run` does."""
    schema = settings.db_schema
    make_catch_ups = partial(catch_up_projections, schema)
    return Rebuild(migrated_url(settings), schema, names, decode_event, make_catch_ups, on_progress).run()


def verify(
    settings: Settings, on_progress: Callable[[verification.Progress], None], broken_key_ids: Iterable[str] = ()
) -> verification.Verified:
    """Check the whole ledger. Raises NoDatabase, NotMigrated, NoSigningKey, ProcessFailed."""
    trust = trust_of(settings, broken_key_ids)
    return verification.Verification(settings.db_schema, trust, on_progress).run(migrated_url(settings))


def trust_of(settings: Settings, broken_key_ids: Iterable[str] = ()) -> Trust:
    """What is kept here of the ledger's checkpoints: the key, and a receipt. Raises NoSigningKey."""
    key = key_file_of(settings).read()
    return Trust(key.key_id if key else None, receipts_of(settings).all(), frozenset(broken_key_ids))


def export(settings: Settings, file: BinaryIO, report: Callable[[int, int], None]) -> End:
    """Write the ledger as text. Raises NoDatabase, NotMigrated, UnreadableEvent, OSError."""
    with connect(migrated_url(settings), autocommit=True) as connection:
        return Export(settings.db_schema).write(connection, file, utc_now(), report)


def import_ledger(settings: Settings, file: BinaryIO, on_progress: Callable[[verification.Progress], None]) -> End:
    """Read a ledger from text into the empty schema. Raises NoDatabase, NotMigrated, and what `Import.read` does."""
    with connect(migrated_url(settings), autocommit=True) as connection:
        return Import(connection, settings.db_schema, on_progress).read(file)


@contextmanager
def sealing(settings: Settings) -> Iterator[tuple[Sealer, Connection[Any]]]:
    """What makes checkpoints, and a connection to do it on. Raises NoDatabase, NotMigrated."""
    with connect(migrated_url(settings), autocommit=True) as connection:
        yield sealer_of(settings), connection
