"""The errors that an operator can mend; the command line prints each in one line without a traceback."""

import psycopg

from projections.ledger_events import BadEvent, MissingEvent
from projections.rebuilding.processes import ProcessFailed
from projections.rebuilding.rebuild import RebuildInProgress
from services.backup.archive import BadBackup
from services.backup.programs import ProgramFailed
from services.bootstrap.database import BadDatabaseUrl, NoDatabase, NotMigrated
from services.bootstrap.signing import UnfitPolicy
from services.catalogue import CatalogueError
from services.integrity.sealing.refusing import SealerBusy, SealerRefused
from services.integrity.signing import NoSigningKey
from services.integrity.verify.verification import TablesChanged
from services.ledger.mapper import UnreadableEvent
from services.migrations.revisions import NewerSchema
from services.postgres.embedded import EmbeddedPostgresError
from services.witness.memory import BadMemory, WitnessInUse

OPERATOR_ERRORS = (
    BadBackup,
    ProgramFailed,
    CatalogueError,
    NoDatabase,
    NotMigrated,
    NewerSchema,
    EmbeddedPostgresError,
    UnreadableEvent,
    MissingEvent,
    BadEvent,
    RebuildInProgress,
    ProcessFailed,
    NoSigningKey,
    SealerBusy,
    SealerRefused,
    TablesChanged,
    BadMemory,
    WitnessInUse,
    OSError,
)
WRONG_SETTINGS = (BadDatabaseUrl, UnfitPolicy)
"""Those of them that come from a setting alone."""

DATABASE_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.InsufficientPrivilege)
"""What a server answers to a wrong address, role or database, or does not answer at all."""
