"""Makes and reads checkpoints: signed Merkle roots over the events, each chained to the one before it.

The signature is over canonical JSON (RFC 8785); the SHA-256 of these bytes is the checkpoint's hash, which the next one
names as `previous`. `ledger` is the hash of the ledger's first event, which tells one ledger from another.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import rfc8785
from msgspec import Struct
from msgspec.structs import replace
from psycopg import Connection

from services.integrity.merkle import GrowingTree
from services.integrity.signing import SigningKey, is_signed, key_id_of
from services.ledger.hashing import NO_HASH, event_hash
from services.postgres.sql import load_queries

FORM = "tallystick-checkpoint-1"
EVENTS_LIMIT = 65_536
"""The most events of one checkpoint, so that a proof of inclusion is quickly made."""
TAG_BYTES = 2
"""The bytes that are stored of each leaf, only to name the event that does not fit the root."""


class OtherKey(RuntimeError):
    """The last checkpoint does not let this key sign the next one."""


class Checkpoint(Struct, frozen=True):
    """A checkpoint over the events `from_position` to `to_position`, or over none where that is one less."""

    number: int
    from_position: int
    to_position: int
    made_at: datetime
    ledger: bytes
    root: bytes
    previous_hash: bytes
    public_key: bytes
    next_public_key: bytes | None = None
    signature: bytes = b""

    @property
    def event_count(self) -> int:
        """The number of events, which is the size of its tree."""
        return self.to_position - self.from_position + 1

    @property
    def key_id(self) -> str:
        """The id of the key that signed it."""
        return key_id_of(self.public_key)

    @property
    def next_key_id(self) -> str:
        """The id of the key that must sign the next checkpoint."""
        return key_id_of(self.next_public_key or self.public_key)

    def require_next(self, key: SigningKey) -> None:
        """Raise OtherKey unless the key is the one that must sign the next checkpoint."""
        if self.next_key_id != key.key_id:
            raise OtherKey(f"checkpoint {self.number} lets key {self.next_key_id} sign, not {key.key_id}")

    @property
    def body(self) -> dict[str, Any]:
        """The signed content as plain values, hashes and ids in hexadecimal."""
        body: dict[str, Any] = {
            "form": FORM,
            "ledger": self.ledger.hex(),
            "number": self.number,
            "from_position": self.from_position,
            "to_position": self.to_position,
            "root": self.root.hex(),
            "previous": self.previous_hash.hex(),
            "made_at": self.made_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "key_id": self.key_id,
        }
        return body | ({"next_key_id": self.next_key_id} if self.next_public_key else {})

    @property
    def signed_bytes(self) -> bytes:
        """The signed content as canonical JSON (RFC 8785)."""
        return rfc8785.dumps(self.body)

    @property
    def hash(self) -> bytes:
        """The SHA-256 of the signed bytes, which the next checkpoint names as `previous`."""
        return sha256(self.signed_bytes).digest()

    @property
    def is_signed(self) -> bool:
        """Whether the signature is that of its public key."""
        return is_signed(self.signed_bytes, self.signature, self.public_key)


class Checkpoints:
    """Makes and reads the checkpoints of one schema."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._queries = load_queries(__file__, "checkpoints.sql", schema=schema)

    def latest(self, connection: Connection[Any]) -> Checkpoint | None:
        """The newest checkpoint; None where there is none yet."""
        return self._select(connection, "latest_checkpoint")

    def covering(self, connection: Connection[Any], position: int) -> Checkpoint | None:
        """The checkpoint whose tree has the event of a position; None where no checkpoint covers it yet."""
        return self._select(connection, "covering_checkpoint", position=position)

    def all(self, connection: Connection[Any], *, after: int = 0) -> Iterator[Checkpoint]:
        """Yield every checkpoint above the number `after`, oldest first."""
        while rows := connection.execute(
            self._queries["list_checkpoints"], {"after": after, "limit": 1_000}
        ).fetchall():
            yield from (Checkpoint(*row) for row in rows)
            after = rows[-1][0]

    def last_position(self, connection: Connection[Any]) -> int:
        """The position of the last event."""
        row = connection.execute(self._queries["last_position"]).fetchone()
        assert row is not None, "a migration put the head row there"
        return int(row[0])

    def leaves(self, connection: Connection[Any], checkpoint: Checkpoint) -> list[bytes]:
        """The leaf hashes of a checkpoint's tree, computed from the events as they are stored now."""
        return [leaf for _, leaf in self._hashes(connection, checkpoint.from_position, checkpoint.to_position)]

    def make(self, connection: Connection[Any], key: SigningKey, clock: Callable[[], datetime]) -> Checkpoint | None:
        """Sign the next events that no checkpoint covers, up to EVENTS_LIMIT; None where there are none.

        The connection is in autocommit mode. Raises OtherKey; ValueError where events are missing.
        """
        return self._make(connection, key, clock)

    def hand_over(
        self, connection: Connection[Any], key: SigningKey, next_key: SigningKey, clock: Callable[[], datetime]
    ) -> list[Checkpoint]:
        """Let another key sign from now on: make a checkpoint of the old key that names it, and one of the new key.

        On a ledger without events, where there is nothing to sign yet, it makes none. Raises as `make` does.
        """
        last = self._make(connection, key, clock, next_key.public_key, may_be_empty=True)
        first = self._make(connection, next_key, clock, may_be_empty=True) if last else None
        return [each for each in (last, first) if each is not None]

    def replace_lost_key(
        self, connection: Connection[Any], key: SigningKey, clock: Callable[[], datetime]
    ) -> Checkpoint | None:
        """Make a checkpoint with a key that none before it names: a break that `verify` shows for ever."""
        return self._make(connection, key, clock, may_be_empty=True, may_break=True)

    def _make(
        self,
        connection: Connection[Any],
        key: SigningKey,
        clock: Callable[[], datetime],
        next_public_key: bytes | None = None,
        *,
        may_be_empty: bool = False,
        may_break: bool = False,
    ) -> Checkpoint | None:
        with connection.transaction():
            connection.execute(self._queries["lock_checkpoints"], {"schema": self._schema})
            latest = self.latest(connection)
            if latest is not None and not may_break:
                latest.require_next(key)
            begin = latest.to_position + 1 if latest else 1
            end = min(self.last_position(connection), begin + EVENTS_LIMIT - 1)
            if end < begin and not (may_be_empty and latest):
                return None
            tree, tags, first = self._tree(connection, begin, end)
            unsigned = Checkpoint(
                number=latest.number + 1 if latest else 1,
                from_position=begin,
                to_position=end,
                made_at=clock(),
                ledger=latest.ledger if latest else first,
                root=tree.root(),
                previous_hash=latest.hash if latest else NO_HASH,
                public_key=key.public_key,
                next_public_key=next_public_key,
            )
            signed = replace(unsigned, signature=key.sign(unsigned.signed_bytes))
            row = {name: getattr(signed, name) for name in signed.__struct_fields__}
            connection.execute(self._queries["insert_checkpoint"], {**row, "leaf_tags": tags})
            return signed

    def _tree(self, connection: Connection[Any], begin: int, end: int) -> tuple[GrowingTree, bytes, bytes]:
        """The tree over a range of events, the tags of its leaves, and its first leaf. Raises ValueError for a gap."""
        tree, tags, first = GrowingTree(), bytearray(), b""
        for expected, (position, leaf) in enumerate(self._hashes(connection, begin, end), start=begin):
            if position != expected:
                raise ValueError(f"there is no event {expected}: nothing is signed over a gap")
            first = first or leaf
            tree.append(leaf)
            tags += leaf[:TAG_BYTES]
        if tree.size != max(0, end - begin + 1):
            raise ValueError(f"there are {tree.size} events from {begin} to {end}: nothing is signed over a gap")
        return tree, bytes(tags), first

    def _hashes(self, connection: Connection[Any], begin: int, end: int) -> Iterator[tuple[int, bytes]]:
        rows = connection.execute(self._queries["select_leaves"], {"from": begin, "to": end})
        for stream_id, version, recorded_at, previous_hash, topic, state, position in rows:
            yield position, event_hash(stream_id, version, recorded_at, previous_hash, topic, state)

    def _select(self, connection: Connection[Any], query: str, **arguments: Any) -> Checkpoint | None:
        row = connection.execute(self._queries[query], arguments).fetchone()
        return None if row is None else Checkpoint(*row)
