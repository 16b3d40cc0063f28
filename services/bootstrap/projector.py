"""Puts the projector together, with the thread that seals."""

import threading
from contextlib import ExitStack
from functools import partial

from services.bootstrap.database import serving_url_of
from services.bootstrap.signing import policy_of, sealer_of
from services.config import Settings
from services.integrity.sealing.cosigners import Cosigners
from services.integrity.sealing.thread import SealingThread
from services.ledger.ledger import utc_now
from services.postgres.database import connect
from services.process.projector import Projector
from services.process.status_page import status_page


def run_projector(settings: Settings, stopping: threading.Event, *, has_status_page: bool) -> None:
    """Catch projections up until `stopping` is set.

    Raises NoDatabase, NotMigrated, UnfitPolicy, OSError for a port in use.
    """
    connect_here = partial(connect, serving_url_of(settings))
    projector = Projector(connect_here, settings.db_schema)
    with ExitStack() as parts:
        if has_status_page:
            page = status_page(settings.host, settings.port, projector.registry, projector.find_trouble)
            parts.enter_context(page)
        if settings.checkpoint_seconds:
            sealing = SealingThread(
                connect_here,
                settings.db_schema,
                sealer_of(settings),
                settings.checkpoint_seconds,
                projector.registry,
            )
            sealing.start()
            parts.callback(sealing.stop)
        if (policy := policy_of(settings)) is not None:
            cosigners = Cosigners(connect_here, settings.db_schema, policy, utc_now, projector.registry)
            cosigners.start()
            parts.callback(cosigners.stop)
        projector.run(stopping)
