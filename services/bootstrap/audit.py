"""Runs what operators and auditors call for on a whole ledger: verification, rebuild, export and import."""

from collections.abc import Iterable
from typing import BinaryIO

from projections.rebuilding.rebuild import Rebuild, RebuildResult
from services.bootstrap.database import connect_migrated, migrated_url_of
from services.bootstrap.signing import key_file_of, seals_of
from services.config import Settings
from services.integrity.verify.log import trust_in
from services.integrity.verify.verification import Verification, VerificationResult
from services.ledger.ledger import utc_now
from services.ledger.mapper import decode_event
from services.process.progress import ReportProgress
from services.transfer.exporting import Export
from services.transfer.importing import Import
from services.transfer.lines import End


def verify_ledger(settings: Settings, report: ReportProgress) -> VerificationResult:
    """Check the whole ledger. Raises NoDatabase, NotMigrated, NoSigningKey, SealerRefused, ProcessFailed."""
    key = key_file_of(settings).read()
    trust = trust_in(key.public_key if key else None, seals_of(settings))
    return Verification(settings.db_schema, trust, report).run(migrated_url_of(settings))


def rebuild_projections(settings: Settings, names: Iterable[str], report: ReportProgress) -> RebuildResult:
    """Rebuild projections, all where none is named. Raises UnknownProjection, and what `Rebuild.run` raises."""
    return Rebuild(migrated_url_of(settings), settings.db_schema, names, decode_event, report).run()


def export_ledger(settings: Settings, file: BinaryIO, report: ReportProgress) -> End:
    """Write the ledger as NDJSON. Raises NoDatabase, NotMigrated, UnreadableEvent, OSError."""
    with connect_migrated(settings) as connection:
        return Export(settings.db_schema).write(connection, file, utc_now(), report)


def import_ledger(settings: Settings, file: BinaryIO, report: ReportProgress) -> End:
    """Read a ledger from NDJSON into the empty schema. Raises NoDatabase, NotMigrated, as `Import.read` does."""
    with connect_migrated(settings) as connection:
        return Import(connection, settings.db_schema, report).read(file)
