"""Checkpoints: signed Merkle roots over the events, each chained to the one before it.

What is signed is canonical JSON (RFC 8785); the SHA-256 of these bytes is the checkpoint's hash, which the next one
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
"""Events of one checkpoint at most, so that a proof of inclusion is quickly made."""
TAG_BYTES = 2


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
        """How many leaves its tree has."""
        return self.to_position - self.from_position + 1

    @property
    def key_id(self) -> str:
        """The id of the key that signed it."""
        return key_id_of(self.public_key)

    @property
    def next_key_id(self) -> str:
        """The id of the key that must sign the next one."""
        return key_id_of(self.next_public_key or self.public_key)

    @property
    def body(self) -> dict[str, Any]:
        """What is signed, as plain values; hashes and ids in hexadecimal."""
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
        """The canonical JSON that the signature is over."""
        return rfc8785.dumps(self.body)

    @property
    def hash(self) -> bytes:
        """What the next checkpoint names as `previous`."""
        return sha256(self.signed_bytes).digest()

    @property
    def is_signed(self) -> bool:
        """Whether the signature is that of its public key."""
        return is_signed(self.signed_bytes, self.signature, self.public_key)


class OtherKey(RuntimeError):
    """The last checkpoint does not let this key sign the next one."""


class Checkpoints:
    """The checkpoints of one schema."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._queries = load_queries(__file__, "checkpoints.sql", schema=schema)

    def latest(self, connection: Connection[Any]) -> Checkpoint | None:
        """The newest checkpoint."""
        return self._find(connection, "latest_checkpoint")

    def covering(self, connection: Connection[Any], position: int) -> Checkpoint | None:
        """The checkpoint whose tree has an event; None for one that came after the newest checkpoint."""
        return self._find(connection, "covering_checkpoint", position=position)

    def all(self, connection: Connection[Any], *, after: int = 0) -> Iterator[Checkpoint]:
        """Every checkpoint above a number, oldest first."""
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
        """The leaf hashes of a checkpoint's tree, as the events now give them."""
        return [leaf for _, leaf in self._hashes(connection, checkpoint.from_position, checkpoint.to_position)]

    def make(
        self, connection: Connection[Any], key: SigningKey, clock: Callable[[], datetime], *, is_empty_too: bool = False
    ) -> Checkpoint | None:
        """Sign the next events that no checkpoint covers, up to EVENTS_LIMIT; None where there are none.

        On an autocommit connection. `is_empty_too` makes one anyway. Raises OtherKey.
        """
        return self._make(connection, key, clock, None, is_empty_too=is_empty_too)

    def hand_over(
        self, connection: Connection[Any], key: SigningKey, next_key: SigningKey, clock: Callable[[], datetime]
    ) -> list[Checkpoint]:
        """Let another key sign from now on: a checkpoint of the old key that names it, and one of its own.

        Nothing happens on a ledger without events, where there is nothing to sign yet. Raises OtherKey.
        """
        handed_over = self._make(connection, key, clock, next_key.public_key, is_empty_too=True)
        taken_over = self._make(connection, next_key, clock, None, is_empty_too=True) if handed_over else None
        return [each for each in (handed_over, taken_over) if each is not None]

    def replace_lost_key(
        self, connection: Connection[Any], key: SigningKey, clock: Callable[[], datetime]
    ) -> Checkpoint | None:
        """Begin with a key that no one vouches for: a break that `verify` shows for ever."""
        return self._make(connection, key, clock, None, is_empty_too=True, is_vouched_for=False)

    def _make(
        self,
        connection: Connection[Any],
        key: SigningKey,
        clock: Callable[[], datetime],
        next_public_key: bytes | None,
        *,
        is_empty_too: bool,
        is_vouched_for: bool = True,
    ) -> Checkpoint | None:
        with connection.transaction():
            connection.execute(self._queries["lock_checkpoints"], {"schema": self._schema})
            latest = self.latest(connection)
            if latest is not None and is_vouched_for and latest.next_key_id != key.key_id:
                raise OtherKey(f"checkpoint {latest.number} lets key {latest.next_key_id} sign, not {key.key_id}")
            begin = latest.to_position + 1 if latest else 1
            end = min(self.last_position(connection), begin + EVENTS_LIMIT - 1)
            if end < begin and not (is_empty_too and latest):
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

    def _find(self, connection: Connection[Any], query: str, **arguments: Any) -> Checkpoint | None:
        row = connection.execute(self._queries[query], arguments).fetchone()
        return None if row is None else Checkpoint(*row)
