"""Opens the ledger of the settings with its catalogue, or fills it with a made-up history."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.balance.queries import BalanceQueries
from services.bootstrap.database import connect_migrated, migrated_url_of
from services.catalogue import Catalogue, CatalogueError, load_catalogue
from services.catalogue.difference import CatalogueChanges, plan_changes, rate_card_changes
from services.catalogue.load import line_of_rate_card
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from services.config import Settings
from services.demo import Demo, DemoSize
from services.ledger.as_of import AsOf
from services.ledger.ledger import utc_now
from services.ledger.rate_cards import ChangedRateCard, changed_rate_cards, store_rate_cards
from services.ledger.recorder import Recorder
from services.ledger.records import ChainedEvent
from services.postgres.database import connect
from services.process.interpreter import tune_for_serving
from services.renewals.claims import Claims


def catalogue_of(settings: Settings) -> Catalogue:
    """The configured catalogue. Raises CatalogueError with file, line and reason; OSError where it cannot be read."""
    return load_catalogue(*catalogue_text_of(settings))


def stored_catalogue_of(settings: Settings, database_url: str) -> Catalogue:
    """The configured catalogue, to charge by: its rate cards are stored, unless they are not what they were.

    Raises CatalogueError with file, line and reason; OSError where it cannot be read; psycopg.Error.
    """
    text, source = catalogue_text_of(settings)
    catalogue = load_catalogue(text, source)
    with connect(database_url, autocommit=True) as connection:
        try:
            store_rate_cards(connection, settings.db_schema, catalogue.rate_cards)
        except ChangedRateCard as changed:
            raise _fault_of(changed, text, source) from None
    return catalogue


def compare_catalogue(settings: Settings, file: Path) -> CatalogueChanges:
    """What a catalogue in a file would change, against the configured one and the subscriptions of the ledger.

    Raises NoDatabase, NotMigrated, CatalogueError for the configured one, OSError.
    """
    present, text = catalogue_of(settings), file.read_text(encoding="utf-8")
    with connect_migrated(settings) as connection:
        try:
            new = load_catalogue(text, str(file))
        except CatalogueError as error:
            return CatalogueChanges([], [], [str(error)])
        subscriptions = BalanceQueries(settings.db_schema).count_by_plan(connection)
        changed = changed_rate_cards(connection, settings.db_schema, new.rate_cards)
    return CatalogueChanges(
        plan_changes(present, new, subscriptions),
        rate_card_changes(present, new),
        [str(_fault_of(each, text, str(file))) for each in changed],
    )


def _fault_of(changed: ChangedRateCard, text: str, source: str) -> CatalogueError:
    reason = f"{changed}: give changed prices a version of their own"
    return CatalogueError(source, line_of_rate_card(text, changed.version), reason)


def catalogue_text_of(settings: Settings) -> tuple[str, str]:
    """Read the text of the configured catalogue, and the name of its source."""
    if settings.catalogue is None:
        return packaged(), PACKAGED_SOURCE
    return settings.catalogue.read_text(encoding="utf-8"), str(settings.catalogue)


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

    No worker records meanwhile what is due: the customers have lived for long, and their lives are still being written.
    Raises CatalogueError, NoDatabase, NotMigrated.
    """
    database_url = migrated_url_of(settings)
    demo = Demo(settings.db_schema, stored_catalogue_of(settings, database_url), seed)
    with connect(database_url) as connection, connect(database_url, autocommit=True) as claiming:
        claims = Claims(claiming, settings.db_schema)

        def report(written: int) -> None:
            claims.keep_alive()
            on_progress(written)

        tune_for_serving()
        with claims.transaction():
            claims.claim_all()
            return demo.fill(connection, DemoSize(subscriptions, events, until=utc_now()), report)
