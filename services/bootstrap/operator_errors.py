"""The errors that an operator can mend; the command line prints each in one line without a traceback."""

from projections.ledger_events import BadEvent, MissingEvent
from projections.rebuilding.processes import ProcessFailed
from projections.rebuilding.rebuild import RebuildInProgress
from services.bootstrap.database import NoDatabase, NotMigrated
from services.catalogue import CatalogueError
from services.integrity.checkpoints import OtherKey
from services.integrity.sealer import LedgerIsOlder
from services.integrity.signing import NoSigningKey
from services.ledger.mapper import UnreadableEvent
from services.postgres.embedded import EmbeddedPostgresError

OPERATOR_ERRORS = (
    CatalogueError,
    NoDatabase,
    NotMigrated,
    EmbeddedPostgresError,
    UnreadableEvent,
    MissingEvent,
    BadEvent,
    RebuildInProgress,
    ProcessFailed,
    NoSigningKey,
    OtherKey,
    LedgerIsOlder,
    OSError,
)
