"""Writes the tiles of what was recorded, off the hot path, at the cost of the tiles that change."""

from typing import Any

from psycopg import Connection

from services.integrity.sealing.entries import Entries
from services.integrity.sealing.store import LogStore
from services.log.growing import TileWriter

LEAVES_A_TRANSACTION = 16_384


class Growth:
    """Lets the tree of one log grow."""

    def __init__(self, store: LogStore, entries: Entries) -> None:
        self._store = store
        self._entries = entries

    def grow(self, connection: Connection[Any], *, at_most: int) -> int:
        """Write the tiles of what is recorded by now, up to a size, and return the size of the tree.

        The connection is in autocommit mode, and the tree has begun. Raises BadEntry, MissingTiles.
        """
        count = min(self._entries.count(connection), at_most)
        while (size := self._step(connection, count)) < count:
            pass
        return size

    def _step(self, connection: Connection[Any], count: int) -> int:
        with connection.transaction():
            tree = self._store.tree(connection, lock=True)
            assert tree is not None, "the tree has begun"
            to = min(count, tree.size + LEAVES_A_TRANSACTION)
            if to <= tree.size:
                return tree.size
            writer = TileWriter(self._store.tiles(connection), tree.size)
            writer.extend(self._entries.leaves(connection, tree.size, to))
            self._store.put_tiles(connection, writer.changed, to)
            return to
