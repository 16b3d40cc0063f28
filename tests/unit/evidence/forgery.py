"""Makes what a ledger that lies would make: events with other contents, chained, logged and signed like true ones.

`build` refuses such a case, so this puts the file together without looking at what the events say.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from services.evidence.case import Case, Facts
from services.evidence.documents import (
    charge_document,
    dispute_document,
    events_document,
    keys_document,
    proofs_document,
    refusals_document,
    rfc3339,
)
from services.evidence.proving import index_of
from services.evidence.receipt import Receipt, write_receipt
from services.ledger.hashing import NO_HASH
from services.ledger.mapper import read_dispute_event, read_event
from services.ledger.records import ChainedEvent, extend_dispute
from services.log.keys import Signer
from services.subscription.events import ChargeReversed, GenerationCharged
from services.subscription.state import evolve
from tests.unit.evidence.cases import KEY, MADE_AT
from tests.unit.evidence.resigned import resigned

Edit = Callable[[dict[str, Any]], Mapping[str, Any]]


def edited(events: Sequence[ChainedEvent], version: int, edit: Edit) -> list[ChainedEvent]:
    """Change the data of one event, and chain all that follow anew."""
    return rewritten(events, version, lambda state: _dumped(edit(json.loads(state)["data"]), json.loads(state)))


def rewritten(events: Sequence[ChainedEvent], version: int, rewrite: Callable[[bytes], bytes]) -> list[ChainedEvent]:
    """Change the stored bytes of one event, and chain all that follow anew."""
    changed = [
        replace(event, state=rewrite(event.state)) if event.originator_version == version else event for event in events
    ]
    return rechained(changed)


def rechained(events: Sequence[ChainedEvent]) -> list[ChainedEvent]:
    """Number events from 1, at positions that follow on the first, and chain them."""
    chained: list[ChainedEvent] = []
    first = index_of(events[0])
    for number, event in enumerate(events):
        before = chained[-1].hash if chained else NO_HASH
        place = {"originator_version": number + 1, "position": first + number + 1}
        chained.append(replace(event, previous_hash=before, **place))
    return chained


def moved(events: Sequence[ChainedEvent], position: int) -> list[ChainedEvent]:
    """Put events at positions from this one on."""
    return [replace(event, position=position + number) for number, event in enumerate(events)]


def forged(case: Case, key: Signer = KEY, told: Case | None = None) -> bytes:
    """Make the file of a case, whatever its events say; where nobody can read them, `told` has what is told of them."""
    made_at = max(MADE_AT, case.subscription[-1].recorded_at, case.dispute[-1].recorded_at)
    generation_id = _facts(told or case).charge.generation_id
    return resigned(members_of(case, told), key, made_at=rfc3339(made_at), generation_id=generation_id)


def members_of(case: Case, told: Case | None = None) -> dict[str, bytes]:
    """Make the members of a case, whatever its events say."""
    facts = _facts(told or case)
    charge = case.subscription[facts.charge_record.version - 1]
    events = {"subscription": case.subscription[-1], "dispute": case.dispute[-1]}
    return {
        "README.txt": b"Made for the tests of verifiers.\n",
        "report.html": b"<!doctype html>\n<title>Made for the tests of verifiers</title>\n",
        "dispute.json": dispute_document(facts),
        "charge.json": charge_document(facts, index_of(charge)),
        "dispute-events.ndjson": events_document(case.dispute),
        "subscription-events.ndjson": events_document(case.subscription),
        "refusals.ndjson": b"".join(entry + b"\n" for entry in case.refusals.entries),
        "refusals.json": refusals_document(case.refusals),
        "charge.tlog-proof": write_receipt(Receipt(charge, index_of(charge), case.proofs["charge"], case.lineage)),
        "proofs.json": proofs_document(
            {
                "subscription": (index_of(events["subscription"]), case.proofs["subscription"]),
                "dispute": (index_of(events["dispute"]), case.proofs["dispute"]),
            }
        ),
        "keys.txt": keys_document(case.keys),
        "witnesses.txt": keys_document(case.witnesses),
    }


def _facts(case: Case) -> Facts:
    head = extend_dispute(None, map(read_dispute_event, case.dispute))
    assert head is not None
    history = [read_event(each) for each in case.subscription]
    states: list[Any] = []
    for each in history:
        states.append(evolve(states[-1] if states else None, each.event))
    version = head.state.charge_version
    charge = history[version - 1].event
    assert isinstance(charge, GenerationCharged)
    dispute_id = str(head.originator_id)
    reversals = [
        each for each in history if isinstance(each.event, ChargeReversed) and each.event.dispute_id == dispute_id
    ]
    return Facts(
        dispute=head,
        charge_record=history[version - 1],
        charge=charge,
        before=states[version - 2],
        after=states[version - 1],
        reversal=reversals[0] if reversals and head.state.status == "upheld" else None,
        history=history,
        balance_course=[],
    )


def _dumped(data: Mapping[str, Any], state: dict[str, Any]) -> bytes:
    return json.dumps({**state, "data": data}, separators=(",", ":"), ensure_ascii=False).encode()
