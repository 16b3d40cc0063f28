"""Writes and reads the JSON of evidence: canonical (RFC 8785), so that each document is one sequence of bytes.

Whole numbers are numbers; decimals, which have no one binary form, are strings; instants are strings with six digits
of a second and a `Z`; hashes, keys and signatures are lower-case hexadecimal.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import rfc8785
from msgspec import Struct
from msgspec.structs import asdict

from services.catalogue import recompute
from services.evidence.case import Facts, Proof
from services.integrity.checkpoints import Checkpoint
from services.ledger.records import ChainedEvent


class NotCanonical(ValueError):
    """A document is not canonical JSON of the expected form."""


def rfc3339(instant: datetime) -> str:
    """Format an instant in UTC, with six digits of a second and a `Z`."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def events_document(events: Sequence[ChainedEvent]) -> bytes:
    """Write a line for each event, as it is stored: its hash is over these fields, `state` byte for byte."""
    lines = [
        rfc8785.dumps(
            {
                "stream_id": str(event.originator_id),
                "version": event.originator_version,
                "position": event.position or 0,
                "recorded_at": rfc3339(event.recorded_at),
                "topic": event.topic,
                "state": event.state.decode(),
                "previous_hash": event.previous_hash.hex(),
                "hash": event.hash.hex(),
            }
        )
        for event in events
    ]
    return b"".join(line + b"\n" for line in lines)


def proofs_document(proofs: Sequence[Proof]) -> bytes:
    """Write the proofs of inclusion."""
    return rfc8785.dumps(msgspec.to_builtins(proofs))


def checkpoints_document(checkpoints: Sequence[Checkpoint]) -> bytes:
    """Write the checkpoints: each signed body, and its signature."""
    return rfc8785.dumps([{"body": each.body, "signature": each.signature.hex()} for each in checkpoints])


def keys_document(public_keys: dict[str, bytes]) -> bytes:
    """Write the public keys by their ids."""
    return rfc8785.dumps({key_id: key.hex() for key_id, key in public_keys.items()})


def charge_document(facts: Facts) -> bytes:
    """Write the charge, its price recomputed, and the balance before and after it."""
    charge, stored = facts.charge, facts.charge_record.stored
    return rfc8785.dumps(
        {
            "subscription_id": str(stored.originator_id),
            "generation_id": charge.generation_id,
            "version": stored.originator_version,
            "position": stored.position or 0,
            "charged_at": rfc3339(stored.recorded_at),
            "asset_type": charge.asset_type,
            "model": charge.model,
            "settings": _plain_fields(charge.settings),
            "plan_id": facts.before.plan.plan_id,
            "cycle": _plain_fields(facts.before.cycle),
            "price": _plain_fields(charge.price),
            "credits": charge.credits,
            "recomputed_credits": recompute(charge.price),
            "balance_before": facts.before.balance_credits,
            "balance_after": facts.after.balance_credits,
        }
    )


def dispute_document(facts: Facts) -> bytes:
    """Write the dispute as it stands, and the version at which its charge was reversed."""
    head, state, reversal = facts.dispute, facts.dispute.state, facts.reversal
    resolution = state.resolution
    decision = {} if resolution is None else {"resolved_at": rfc3339(head.recorded_at), "resolution": resolution}
    reversal_fields = {} if reversal is None else {"reversed_in_version": reversal.originator_version}
    document = {
        "dispute_id": str(head.originator_id),
        "subscription_id": str(state.subscription_id),
        "generation_id": state.generation_id,
        "reason": state.reason,
        "note": state.note,
        "status": state.status,
        "opened_at": rfc3339(head.opened_at),
        "version": state.version,
    }
    return rfc8785.dumps(msgspec.to_builtins({**document, **decision, **reversal_fields}))


def read_document(content: bytes, kind: Any) -> Any:
    """Read a document of a type. Raises NotCanonical."""
    try:
        document = msgspec.json.decode(content, type=kind)
        if rfc8785.dumps(msgspec.json.decode(content)) != content:
            raise NotCanonical("is not canonical JSON")
    except (msgspec.MsgspecError, UnicodeDecodeError, rfc8785.CanonicalizationError) as error:
        raise NotCanonical(str(error)) from None
    return document


class _EventLine(Struct, frozen=True, forbid_unknown_fields=True):
    stream_id: UUID
    version: int
    position: int
    recorded_at: datetime
    topic: str
    state: str
    previous_hash: str
    hash: str


def read_events(content: bytes) -> list[ChainedEvent]:
    """Read the events of a document. Raises NotCanonical, also for an event whose hash is not its own."""
    events = []
    if not content.endswith(b"\n"):
        raise NotCanonical("its last line has no end")
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        read = read_document(line, _EventLine)
        event = ChainedEvent(
            originator_id=read.stream_id,
            originator_version=read.version,
            topic=read.topic,
            state=read.state.encode(),
            recorded_at=read.recorded_at,
            previous_hash=unhex(read.previous_hash),
            position=read.position,
        )
        if event.hash.hex() != read.hash:
            raise NotCanonical(f"line {number}: the hash is not that of the event")
        events.append(event)
    return events


def unhex(text: str) -> bytes:
    """Decode lower-case hexadecimal. Raises NotCanonical."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise NotCanonical(f"{text[:20]!r} is not hexadecimal") from None
    if raw.hex() != text:
        raise NotCanonical(f"{text[:20]!r} is not lower-case hexadecimal")
    return raw


def _plain_fields(struct: Struct) -> dict[str, Any]:
    """Return the fields of a struct that are not None, as canonical JSON has them."""
    return {name: _plain(value) for name, value in asdict(struct).items() if value is not None}


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return format(value, "f")
        case datetime():
            return rfc3339(value)
        case _:
            return value
