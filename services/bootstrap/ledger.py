"""Opens the ledger of the settings with its catalogue, or fills it with a made-up history."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from psycopg import Connection

from services.bootstrap.database import connect_migrated, migrated_url_of
from services.catalogue import Catalogue, load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from services.config import Settings
from services.demo import Demo, DemoSize
from services.ledger.as_of import AsOf
from services.ledger.ledger import utc_now
from services.ledger.recorder import Recorder
from services.ledger.records import ChainedEvent
from services.postgres.database import connect
from services.process.interpreter import tune_for_serving


def catalogue_of(settings: Settings) -> Catalogue:
    """The configured catalogue. Raises CatalogueError with file, line and reason; OSError where it cannot be read."""
    if settings.catalogue is None:
        return load_catalogue(packaged(), PACKAGED_SOURCE)
    return load_catalogue(settings.catalogue.read_text(encoding="utf-8"), str(settings.catalogue))


@contextmanager
def open_as_of(settings: Settings) -> Iterator[tuple[AsOf, Connection[Any]]]:
    """The past of subscriptions, and a connection to read it on. Raises NoDatabase, NotMigrated."""
    with connect_migrated(settings) as connection:
        yield AsOf(settings.db_schema, utc_now), connection


def read_stream(settings: Settings, stream_id: UUID) -> list[ChainedEvent]:
    """The events of a stream, oldest first; none where there is no such stream. Raises NoDatabase, NotMigrated."""
    with connect_migrated(settings) as connection:
        return Recorder(settings.db_schema).events(connection, stream_id)


def fill_demo(
    settings: Settings, subscriptions: int, events: int, seed: int, on_progress: Callable[[int], None]
) -> int:
    """Write a made-up history that ends now, and return how many events.

    Raises CatalogueError, NoDatabase, NotMigrated.
    """
    demo = Demo(settings.db_schema, catalogue_of(settings), seed)
    with connect(migrated_url_of(settings)) as connection:
        tune_for_serving()
        return demo.fill(connection, DemoSize(subscriptions, events, until=utc_now()), on_progress)
