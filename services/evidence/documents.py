"""Writes and reads the JSON of evidence: canonical (RFC 8785), so that each document is one sequence of bytes.

Whole numbers are numbers; decimals, which have no one binary form, are strings; instants are strings with six digits
of a second and a `Z`; hashes of events are lower-case hexadecimal, those of proofs base64.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
import rfc8785
from msgspec import Meta, Struct
from msgspec.structs import asdict

from services.catalogue import recompute
from services.evidence.case import Facts
from services.evidence.lineage import Lineage
from services.evidence.refusals import ProvenRefusals
from services.evidence.strict_json import NotStrict, read_canonical, read_strict
from services.ledger.hashing import HASH_BYTES
from services.ledger.records import ChainedEvent
from services.log.checkpoint import decode_hash
from services.log.keys import VerifierKey
from services.log.note import Note
from services.log.tree import PROOF_HASHES_LIMIT


def rfc3339(instant: datetime) -> str:
    """Format an instant in UTC, with six digits of a second and a `Z`."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def events_document(events: Sequence[ChainedEvent]) -> bytes:
    """Write a line for each event, as it is stored."""
    return b"".join(event_line(event) + b"\n" for event in events)


def event_line(event: ChainedEvent) -> bytes:
    """Write an event: its hash is over these fields, `state` byte for byte.

    Of texts and small numbers under sorted names, the standard library makes the bytes of RFC 8785, in a tenth of the
    time.
    """
    fields = {
        "hash": event.hash.hex(),
        "previous_hash": event.previous_hash.hex(),
        "recorded_at": rfc3339(event.recorded_at),
        "state": event.state.decode(),
        "stream_id": str(event.originator_id),
        "topic": event.topic,
        "version": event.originator_version,
    }
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def proofs_document(proofs: Mapping[str, tuple[int, Sequence[bytes]]]) -> bytes:
    """Write proofs of inclusion, each with the index of its leaf, by what they are about."""
    return rfc8785.dumps(
        [{"what": what, "index": index, "hashes": in_base64(hashes)} for what, (index, hashes) in proofs.items()]
    )


def refusals_document(refusals: ProvenRefusals) -> bytes:
    """Write the proofs of refusals, and their checkpoint with the hand-overs before it."""
    lineage = refusals.lineage
    return rfc8785.dumps(
        {
            "note": str(lineage.note) if lineage else "",
            "handovers": [str(note) for note in lineage.handovers] if lineage else [],
            "proofs": [in_base64(proof) for proof in refusals.proofs],
        }
    )


def keys_document(keys: Sequence[VerifierKey]) -> bytes:
    """Write verifier keys, one a line."""
    return "".join(f"{key}\n" for key in keys).encode()


def charge_document(facts: Facts, index: int) -> bytes:
    """Write the charge, its price recomputed, and the balance before and after it; `index` is that of its leaf."""
    charge, stored = facts.charge, facts.charge_record.stored
    optional = {"member": charge.member, "held_credits": charge.held_credits}
    return rfc8785.dumps(
        {
            **{name: value for name, value in optional.items() if value is not None},
            "subscription_id": str(stored.originator_id),
            "generation_id": charge.generation_id,
            "version": stored.originator_version,
            "position": index + 1,
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


class _EventLine(Struct, frozen=True, forbid_unknown_fields=True):
    stream_id: UUID
    version: Annotated[int, Meta(gt=0, lt=2**53)]
    recorded_at: Annotated[datetime, Meta(tz=True)]
    topic: Annotated[str, Meta(max_length=1_000)]
    state: str
    previous_hash: str
    hash: str


_EVENT_LINE = msgspec.json.Decoder(_EventLine)


class ProofForm(Struct, frozen=True, forbid_unknown_fields=True):
    """A proof of inclusion, as `proofs.json` has it."""

    what: str
    index: int
    hashes: list[str]


class RefusalsForm(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `refusals.json`."""

    note: str
    handovers: list[str]
    proofs: list[list[str]]


def read_events(content: bytes) -> list[ChainedEvent]:
    """Read the events of a document. Raises ValueError, also for an event whose hash is not its own."""
    events = []
    for number, line in enumerate(lines_of(content), start=1):
        read_strict(line)
        read = _EVENT_LINE.decode(line)
        event = ChainedEvent(
            originator_id=read.stream_id,
            originator_version=read.version,
            topic=read.topic,
            state=read.state.encode(),
            recorded_at=read.recorded_at,
            previous_hash=unhex(read.previous_hash),
        )
        if event_line(event) != line:
            raise NotStrict(f"line {number} is not written as it should be, or has another hash")
        events.append(event)
    return events


def read_refusals(entries: bytes, document: bytes) -> ProvenRefusals:
    """Read the refusals and their proofs. Raises ValueError."""
    form: RefusalsForm = read_canonical(document, RefusalsForm)
    lines = lines_of(entries) if entries else []
    proofs = [from_base64(proof) for proof in form.proofs]
    if len(lines) != len(proofs) or bool(lines) != bool(form.note) or (form.handovers and not lines):
        raise NotStrict("there is not one proof of each refusal, and one checkpoint of them all")
    handovers = [Note.parse(note) for note in form.handovers]
    lineage = Lineage(Note.parse(form.note), handovers, ()) if form.note else None
    return ProvenRefusals(lines, proofs, lineage)


def read_keys(content: bytes) -> list[VerifierKey]:
    """Read verifier keys, one a line. Raises ValueError."""
    return [VerifierKey.parse(line.decode()) for line in (lines_of(content) if content else [])]


def lines_of(content: bytes) -> list[bytes]:
    """Split a document that has lines, each with its end. Raises NotStrict."""
    if not content.endswith(b"\n"):
        raise NotStrict("its last line has no end")
    return content.split(b"\n")[:-1]


def in_base64(hashes: Sequence[bytes]) -> list[str]:
    """Write hashes of proofs as the log does."""
    return [b64encode(each).decode() for each in hashes]


def from_base64(lines: Sequence[str]) -> list[bytes]:
    """Read hashes of a proof. Raises ValueError."""
    if len(lines) > PROOF_HASHES_LIMIT:
        raise NotStrict(f"a proof has more than {PROOF_HASHES_LIMIT} hashes")
    return [decode_hash(line) for line in lines]


def unhex(text: str) -> bytes:
    """Decode lower-case hexadecimal of a hash. Raises NotStrict."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise NotStrict(f"{text[:20]!r} is not hexadecimal") from None
    if raw.hex() != text or len(raw) != HASH_BYTES:
        raise NotStrict(f"{text[:20]!r} is no hash in lower-case hexadecimal")
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
