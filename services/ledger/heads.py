"""The heads of the streams that a lane wrote or read last, kept so that a charge reads no history.

A kept head is used only at the version that the locked balance row names. One that another process has moved on is
caught up from its tail; one that is not kept, or far behind, is loaded from snapshot and tail. Each takes one query for
a whole batch.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import groupby
from uuid import UUID

import msgspec
import structlog
from eventsourcing.persistence import StoredEvent

from services.ledger.mapper import SNAPSHOT_TOPIC, EventMapper, read_event
from services.ledger.recorder import chained_event
from services.ledger.records import StreamHead, extend
from services.postgres.arrays import Bigints, Uuids
from services.postgres.session import Session
from services.postgres.sql import Queries

log = structlog.get_logger()

FAR_BEHIND = 100
"""Events: a snapshot may be nearer than a head that is kept, where another process has had the stream for long."""


class BrokenStream(RuntimeError):
    """The stored events of a stream do not lead to the version that its balance row names."""


class LoadedHeads(msgspec.Struct, frozen=True):
    """The heads of a batch's streams; those that could not be loaded have a defect instead, which is theirs alone."""

    heads: dict[UUID, StreamHead]
    defects: dict[UUID, Exception]


class Heads:
    """Heads by stream id, the least recently used forgotten first; for one thread."""

    def __init__(self, queries: Queries, mapper: EventMapper, capacity: int) -> None:
        self._queries = queries
        self._mapper = mapper
        self._capacity = capacity
        self._kept: OrderedDict[UUID, StreamHead] = OrderedDict()

    def load(self, session: Session, versions: Mapping[UUID, int]) -> LoadedHeads:
        """The heads of the streams at the versions that their locked rows name. Raises psycopg.Error."""
        heads = {
            id: head
            for id, version in versions.items()
            if (head := self._kept.get(id)) is not None and head.originator_version <= version
        }
        defects: dict[UUID, Exception] = {}
        kept = {id: _version(head) for id, head in heads.items()}
        if far := [id for id, version in versions.items() if id not in kept or version - kept[id] > FAR_BEHIND]:
            found = self._snapshots(session, far)
            heads.update({id: head for id, head in found.items() if head.originator_version > kept.get(id, 0)})
        if behind := [id for id, version in versions.items() if _version(heads.get(id)) < version]:
            self._catch_up(session, heads, behind, defects)
        for id, version in versions.items():
            if id not in defects and _version(heads.get(id)) != version:
                defects[id] = BrokenStream(f"{id}: events to {_version(heads.get(id))}, balance at {version}")
        for id in defects:
            heads.pop(id, None)
        return LoadedHeads(heads, defects)

    def kept(self, id: UUID) -> StreamHead | None:
        """The head of a stream that was kept; another process may have moved it on since."""
        return self._kept.get(id)

    def keep(self, heads: Iterable[StreamHead]) -> None:
        """Keep the heads that a commit left."""
        for head in heads:
            self._kept[head.originator_id] = head
            self._kept.move_to_end(head.originator_id)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)

    def forget_all(self) -> None:
        """Drop everything: another server, or an older state of the same one, may answer from now on."""
        self._kept.clear()

    def _snapshots(self, session: Session, ids: list[UUID]) -> dict[UUID, StreamHead]:
        """The newest snapshots; one that cannot be read is passed over, since its stream can always be folded."""
        arguments = {"ids": Uuids(ids), "topic": SNAPSHOT_TOPIC}
        heads: dict[UUID, StreamHead] = {}
        for id, *rest in session.execute(self._queries["select_snapshots"], arguments).rows():
            try:
                heads[id] = self._mapper.to_domain_event(StoredEvent(id, *rest))
            except msgspec.MsgspecError as error:
                log.warning("a snapshot cannot be read", stream=str(id), error=str(error))
        return heads

    def _catch_up(
        self,
        session: Session,
        heads: dict[UUID, StreamHead],
        behind: list[UUID],
        defects: dict[UUID, Exception],
    ) -> None:
        """Extend the heads by the events after them; where that fails, note the defect."""
        versions = [_version(heads.get(id)) for id in behind]
        wanted = {"ids": Uuids(behind), "versions": Bigints(versions)}
        rows = session.execute(self._queries["select_tails"], wanted).rows()
        for id, tail in groupby(map(chained_event, rows), key=lambda stored: stored.originator_id):
            try:
                head = extend(heads.get(id), map(read_event, tail))
            except Exception as defect:  # noqa: BLE001 - told to whoever asks for this stream
                defects[id] = defect
            else:
                assert head is not None
                heads[id] = head


def _version(head: StreamHead | None) -> int:
    return head.originator_version if head else 0
