"""Runs what operators and auditors call for on a whole ledger: verification, rebuild, export and import."""

from collections.abc import Iterable
from typing import BinaryIO

import psycopg
import structlog
from msgspec.structs import replace

from projections.rebuilding.rebuild import Rebuild, RebuildResult
from services.bootstrap.database import NoDatabase, NotMigrated, connect_migrated, migrated_url_of
from services.bootstrap.signing import key_file_of, policy_of, seals_of
from services.config import Settings
from services.evidence.lineage import Pins
from services.integrity.verify.trust import trust_in
from services.integrity.verify.verification import Verification, VerificationResult
from services.ledger.ledger import utc_now
from services.ledger.mapper import decode_event
from services.process.progress import ReportProgress
from services.transfer.books import form as books
from services.transfer.books.exporting import BooksExport
from services.transfer.books.ndjson import NdjsonWriter
from services.transfer.books.parquet import ParquetWriter
from services.transfer.books.proving import Proof, reader_of
from services.transfer.exporting import Export
from services.transfer.importing import Import
from services.transfer.lines import End
from services.webhooks.messages import VERIFICATION_FAILED, encode
from services.webhooks.store import WebhookStore

log = structlog.get_logger()


def verify_ledger(settings: Settings, report: ReportProgress, pins: Pins) -> VerificationResult:
    """Check the whole ledger, and that it leads on from what is pinned.

    Raises NoDatabase, NotMigrated, NoSigningKey, SealerRefused, UnfitPolicy, ProcessFailed.
    """
    key, policy = key_file_of(settings).read(), policy_of(settings)
    trust = replace(
        trust_in(key.public_key if key else None, seals_of(settings)),
        witnesses=tuple(map(str, policy.keys)) if policy else (),
        pinned_keys=tuple(map(str, pins.keys)),
        pinned_notes=tuple(map(str, pins.checkpoints)),
    )
    return Verification(settings.db_schema, trust, report).run(migrated_url_of(settings))


def tell_of_findings(settings: Settings, verified: VerificationResult) -> None:
    """Tell the endpoints that take it what a verification found; where that fails, a line in the log is all."""
    data = encode({"findings": verified.finding_count, "first": str(verified.findings[0])}).decode()
    try:
        with connect_migrated(settings) as connection:
            WebhookStore(settings.db_schema).add_notices(connection, VERIFICATION_FAILED, utc_now(), data)
    except (psycopg.Error, NoDatabase, NotMigrated) as error:
        log.warning("endpoints could not be told of the findings", error=str(error))


def rebuild_projections(settings: Settings, names: Iterable[str], report: ReportProgress) -> RebuildResult:
    """Rebuild projections, all where none is named. Raises UnknownProjection, and what `Rebuild.run` raises."""
    return Rebuild(migrated_url_of(settings), settings.db_schema, names, decode_event, report).run()


def export_ledger(settings: Settings, file: BinaryIO, report: ReportProgress, after: int = 0) -> End:
    """Write the ledger after a position as NDJSON.

    Raises NoSuchPosition, NoDatabase, NotMigrated, UnreadableEvent, OSError.
    """
    with connect_migrated(settings) as connection:
        return Export(settings.db_schema).write(connection, file, utc_now(), report, after)


def import_ledger(settings: Settings, file: BinaryIO, report: ReportProgress) -> End:
    """Read a ledger from NDJSON into the empty schema, or go on behind its last event.

    Raises NoDatabase, NotMigrated, and as `Import.read` does.
    """
    with connect_migrated(settings) as connection:
        return Import(connection, settings.db_schema, report).read(file)


def export_books(
    settings: Settings, file: BinaryIO, report: ReportProgress, after: int, *, is_parquet: bool
) -> tuple[books.Head, books.End]:
    """Write the movements after a position.

    Raises NoSuchPosition, NoParquet, NoDatabase, NotMigrated, OSError.
    """
    with connect_migrated(settings) as connection:
        writer = ParquetWriter(file) if is_parquet else NdjsonWriter(file)
        return BooksExport(settings.db_schema).write(connection, writer, utc_now(), report, after)


def prove_books(settings: Settings, file: BinaryIO, report: ReportProgress) -> books.Head:
    """Prove a file of books against the events.

    Raises NoDatabase, NotMigrated, and as `Proof.check` and `reader_of` do.
    """
    with connect_migrated(settings) as connection:
        return Proof(settings.db_schema).check(connection, reader_of(file), report)
