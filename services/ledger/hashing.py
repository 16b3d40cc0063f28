"""The hash of a recorded event: the link of its stream's chain and its leaf in the ledger's Merkle tree.

SHA-256 over, in this order: a zero byte (the leaf prefix of RFC 9162), the stream id (16 bytes), the version (8 bytes,
big-endian), the recording instant (microseconds since 1970, 8 bytes, signed), the hash of the stream's previous event
(32 bytes; zeros before the first), the length of the topic (2 bytes) and the topic, and the stored JSON as it is.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import Struct as Layout
from uuid import UUID

HASH_BYTES = 32
NO_HASH = bytes(HASH_BYTES)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PREIMAGE_HEAD = Layout(">x16sQq32sH")


def microseconds_since_epoch(instant: datetime) -> int:
    """Return the whole microseconds from 1970-01-01T00:00:00Z to the instant."""
    return (instant - _EPOCH) // _MICROSECOND


def event_hash(
    stream_id: UUID, version: int, recorded_at: datetime, previous_hash: bytes, topic: str, state: bytes
) -> bytes:
    """Return the 32-byte hash of a recorded event. Raises ValueError for a previous hash of another length."""
    return hash_of_columns(stream_id.bytes, version, microseconds_since_epoch(recorded_at), previous_hash, topic, state)


def hash_of_columns(
    stream_id: bytes, version: int, recorded_at_microseconds: int, previous_hash: bytes, topic: str, state: bytes
) -> bytes:
    """Return the hash from the stored columns: id as 16 bytes, instant in microseconds since 1970.

    Raises ValueError for a previous hash of another length, and struct.error for numbers that do not fit.
    """
    if len(previous_hash) != HASH_BYTES:  # packed into its place it would be cut or filled up, and look sound
        raise ValueError(f"a previous hash of {len(previous_hash)} bytes")
    name = topic.encode()
    head = _PREIMAGE_HEAD.pack(stream_id, version, recorded_at_microseconds, previous_hash, len(name))
    return sha256(head + name + state).digest()


def event_entry(
    stream_id: UUID, version: int, recorded_at: datetime, previous_hash: bytes, topic: str, state: bytes
) -> bytes:
    """Return the entry of an event in the log: the bytes that are hashed, without the leaf prefix before them."""
    name, microseconds = topic.encode(), microseconds_since_epoch(recorded_at)
    head = _PREIMAGE_HEAD.pack(stream_id.bytes, version, microseconds, previous_hash, len(name))
    return head[1:] + name + state
