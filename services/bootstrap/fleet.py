"""Runs a what-if over all subscriptions, settles what it found, and lets subscribers adopt the terms of their plan."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from psycopg import Connection

from services.bootstrap.database import connect_migrated, migrated_url_of
from services.bootstrap.ledger import catalogue_of, catalogue_text_of, stored_catalogue_of
from services.config import Settings
from services.fleet.adopting import Adopting, Adoption
from services.fleet.changes import CatalogueText, FleetChanges
from services.fleet.run_file import RunFile
from services.fleet.running import FleetRun, RunSummary
from services.fleet.settling import Settlement, Settling
from services.ledger.lane import WriterLane
from services.ledger.ledger import Ledger, utc_now
from services.ledger.records import Metadata
from services.postgres.database import connect
from services.process.progress import ReportProgress


def run_what_if(
    settings: Settings, changes: FleetChanges, file: Path, report: ReportProgress, *, resume: bool
) -> RunSummary:
    """Replay every subscription with the changes into a file. Raises NoDatabase, NotMigrated, as `FleetRun.write`."""
    today = CatalogueText(*catalogue_text_of(settings))
    run = FleetRun(migrated_url_of(settings), settings.db_schema, today, report)
    return run.write(changes, file, resume=resume)


def preview_settlement(settings: Settings, run: RunFile, report: ReportProgress) -> Settlement:
    """Say what settling a run would record. Raises NoDatabase, NotMigrated, and as `Settling.preview` does."""
    with connect_migrated(settings) as connection:
        return Settling(settings.db_schema, utc_now, report).preview(connection, run)


def settle_run(settings: Settings, run: RunFile, reason: str, report: ReportProgress) -> Settlement:
    """Record what a run found. Raises NoDatabase, NotMigrated, CatalogueError, and as `Settling.settle` does."""
    with _open_lane(settings) as (lane, connection):
        return Settling(settings.db_schema, utc_now, report).settle(connection, lane, run, reason)


def adopt_terms(settings: Settings, plan_id: str, report: ReportProgress, *, is_dry_run: bool) -> Adoption:
    """Let the subscribers of a plan take its present terms. Raises UnknownPlanToAdopt, NotAdopted, and as above."""
    adopting = Adopting(settings.db_schema, catalogue_of(settings), utc_now, report)
    if is_dry_run:
        with connect_migrated(settings) as connection:
            return adopting.preview(connection, plan_id)
    with _open_lane(settings) as (lane, connection):
        return adopting.adopt(connection, lane, plan_id, Metadata("operator", f"adopt-{uuid4()}"))


@contextmanager
def _open_lane(settings: Settings) -> Iterator[tuple[WriterLane, Connection[Any]]]:
    """The one way to write, and a connection to read on. Raises NoDatabase, NotMigrated, CatalogueError."""
    database_url = migrated_url_of(settings)
    catalogue = stored_catalogue_of(settings, database_url)
    with (
        Ledger(database_url, settings.db_schema, catalogue) as ledger,
        connect(database_url, autocommit=True) as connection,
    ):
        yield ledger.lane, connection
