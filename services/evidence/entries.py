"""Reads entries: the bytes of an event whose leaf hash in the log is the event's own hash.

`docs/reference/evidence-format.md` has the layout.
"""

from datetime import UTC, datetime, timedelta
from struct import Struct as Layout
from uuid import UUID

from services.ledger.records import ChainedEvent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEAD = Layout(">16sQq32sH")
_VERSION_LIMIT = 2**63


class BadEntry(ValueError):
    """The bytes are no entry of an event."""


def read_entry(entry: bytes) -> ChainedEvent:
    """Read the event of an entry. Raises BadEntry."""
    if len(entry) < _HEAD.size:
        raise BadEntry("is too short for an entry")
    stream_id, version, microseconds, previous_hash, topic_length = _HEAD.unpack_from(entry)
    topic, state = entry[_HEAD.size : _HEAD.size + topic_length], entry[_HEAD.size + topic_length :]
    if len(topic) != topic_length:
        raise BadEntry("is too short for its topic")
    try:
        recorded_at = _EPOCH + timedelta(microseconds=microseconds)
        event = ChainedEvent(
            originator_id=UUID(bytes=stream_id),
            originator_version=version,
            topic=topic.decode(),
            state=state,
            recorded_at=recorded_at,
            previous_hash=previous_hash,
        )
    except (OverflowError, UnicodeError) as error:
        raise BadEntry(f"is no entry: {error}") from None
    if not 0 < version < _VERSION_LIMIT:
        raise BadEntry(f"has the version {version}")
    return event
