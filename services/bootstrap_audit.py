"""The composition root of the projector, and of what operators and auditors run: rebuilds, checkpoints, checks."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from psycopg import Connection

from projections.rebuild import Progress, Rebuild, Rebuilt
from services.bootstrap import key_file_of as key_file_of
from services.bootstrap import migrated_url, receipts_of, sealer_of
from services.checkpointer import Checkpointer
from services.config import Settings
from services.database import connect
from services.ledger.mapper import decode_event
from services.ledger.sealing import Sealer
from services.projector import Projector, catch_up_projections
from services.status_page import status_page


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


@contextmanager
def sealing(settings: Settings) -> Iterator[tuple[Sealer, Connection[Any]]]:
    """What makes checkpoints, and a connection to do it on. Raises NoDatabase, NotMigrated."""
    with connect(migrated_url(settings), autocommit=True) as connection:
        yield sealer_of(settings), connection
