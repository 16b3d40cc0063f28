"""The ledger as the rest of the service sees it: put a command, get its answer; ask for history."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from services.catalogue import Catalogue
from services.ledger.heads import HeadCache
from services.ledger.lane import WriterLane
from services.ledger.lookups import Lookups
from services.ledger.recorder import Recorder
from services.ledger.records import Metadata
from services.ledger.snapshots import SnapshotWriter
from services.ledger.submission import Answer, AnyCommand, IdempotencyKey, Submission
from services.ledger.transaction import BatchContext
from services.ledger.writes import Writes
from services.postgres.database import connect
from services.postgres.session import Session

HEAD_CACHE_SIZE = 50_000
SNAPSHOT_INTERVAL = 200


def utc_now() -> datetime:
    """Return the current instant, in UTC."""
    return datetime.now(UTC)


class Ledger:
    """One ledger in one schema. A context manager: it holds connections and threads while it is open."""

    def __init__(
        self,
        database_url: str,
        schema: str,
        catalogue: Catalogue,
        *,
        clock: Callable[[], datetime] = utc_now,
        snapshot_interval: int = SNAPSHOT_INTERVAL,
    ) -> None:
        recorder = Recorder(schema)
        self._snapshots = SnapshotWriter(lambda: connect(database_url, autocommit=True), recorder.queries)
        cache = HeadCache(HEAD_CACHE_SIZE)
        context = BatchContext(
            queries=recorder.queries,
            lookups=Lookups(recorder.queries, schema, cache),
            writes=Writes(recorder, schema),
            heads=cache,
            catalogue=catalogue,
            clock=clock,
            take_snapshots=self._snapshots.put,
            snapshot_interval=snapshot_interval,
        )
        lane_url = _with_keep_alives(database_url)
        self.lane = WriterLane(context, lambda: Session(connect(lane_url)))

    def __enter__(self) -> Self:
        self._snapshots.start()
        self.lane.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.lane.stop()
        self._snapshots.stop()

    def execute(
        self,
        subscription_id: UUID,
        command: AnyCommand,
        metadata: Metadata,
        *,
        expected_versions: Collection[int] | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Answer:
        """Put a command and wait for its answer; for threads. Raises LaneClosed or LaneFull."""
        future: Future[Answer] = Future()
        self.lane.submit(
            Submission(
                subscription_id,
                command,
                metadata,
                lambda _submission, answer: future.set_result(answer),
                expected_versions,
                idempotency,
            )
        )
        return future.result()


def _with_keep_alives(database_url: str) -> str:
    """Add keep-alives to the URL, unless it sets its own, so that the lane notices a lost server within seconds."""
    keep_alives = {
        "keepalives_idle": 3,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "tcp_user_timeout": 5000,
    }
    given = conninfo_to_dict(database_url)
    return make_conninfo(database_url, **{name: value for name, value in keep_alives.items() if name not in given})
