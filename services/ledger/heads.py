"""The heads of the streams that a lane wrote or read last, kept so that a charge reads no history.

A kept head is used only at the version that the locked balance row names. One that another process has moved on is
caught up from its tail; one that is not kept is loaded from snapshot and tail. Each takes one query for a whole batch.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from psycopg import Connection

from services.ledger.mapper import EventMapper, read_event
from services.ledger.recorder import chained_event
from services.ledger.records import StreamHead, extend
from services.sql import Queries


class Heads:
    """Heads by stream id, the least recently used forgotten first; for one thread."""

    def __init__(self, queries: Queries, mapper: EventMapper, capacity: int) -> None:
        self._queries = queries
        self._mapper = mapper
        self._capacity = capacity
        self._kept: OrderedDict[UUID, StreamHead] = OrderedDict()

    def load(self, connection: Connection[Any], versions: Mapping[UUID, int]) -> dict[UUID, StreamHead]:
        """The heads of the streams at the versions that their locked rows name."""
        heads = {
            id: head
            for id, version in versions.items()
            if (head := self._kept.get(id)) is not None and head.originator_version <= version
        }
        missing = [id for id in versions if id not in heads]
        if missing:
            heads.update(self._snapshots(connection, missing))
        behind = [id for id, version in versions.items() if _version(heads.get(id)) < version]
        if behind:
            heads.update(self._tails(connection, {id: heads.get(id) for id in behind}))
        return heads

    def keep(self, heads: Iterable[StreamHead]) -> None:
        """Keep the heads that a commit left."""
        for head in heads:
            self._kept[head.originator_id] = head
            self._kept.move_to_end(head.originator_id)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)

    def forget(self, ids: Iterable[UUID]) -> None:
        """Drop what may not have been committed."""
        for id in ids:
            self._kept.pop(id, None)

    def _snapshots(self, connection: Connection[Any], ids: list[UUID]) -> dict[UUID, StreamHead]:
        rows = connection.execute(self._queries["select_snapshots"], {"ids": ids})
        return {id: self._mapper.to_domain_event(StoredEvent(id, *rest)) for id, *rest in rows}

    def _tails(self, connection: Connection[Any], behind: Mapping[UUID, StreamHead | None]) -> dict[UUID, StreamHead]:
        versions = [_version(head) for head in behind.values()]
        rows = connection.execute(self._queries["select_tails"], {"ids": list(behind), "versions": versions})
        caught_up = {}
        for id, tail in groupby(map(chained_event, rows), key=lambda stored: stored.originator_id):
            head = extend(behind[id], map(read_event, tail))
            assert head is not None
            caught_up[id] = head
        return caught_up


def _version(head: StreamHead | None) -> int:
    return head.originator_version if head else 0
