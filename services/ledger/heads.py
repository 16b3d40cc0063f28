"""The heads of the streams that a lane wrote or read last, so that a charge reads no history.

A cached head is used only at the version that the locked balance row names, or speculatively.
"""

from collections import OrderedDict
from collections.abc import Iterable
from uuid import UUID

from services.ledger.records import StreamHead


class HeadCache:
    """Heads by stream id, the least recently used evicted first; for one thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._heads: OrderedDict[UUID, StreamHead] = OrderedDict()

    def get(self, id: UUID) -> StreamHead | None:
        """Return the head of a stream as this lane left it; another process may have moved it on since."""
        return self._heads.get(id)

    def put(self, heads: Iterable[StreamHead]) -> None:
        """Store the heads that a commit left."""
        for head in heads:
            self._heads[head.originator_id] = head
            self._heads.move_to_end(head.originator_id)
        while len(self._heads) > self._capacity:
            self._heads.popitem(last=False)

    def clear(self) -> None:
        """Drop everything: another server, or an older state of the same one, may answer from now on."""
        self._heads.clear()
