"""Stored events: every form that was ever stored loads, and today's forms are written to the same bytes.

`TOPIC.vN.json` is an event's stored JSON, to the byte, with a line's end behind it that is not part of it; a word
before `.json` distinguishes several of one form. A file is never changed. A new form of an event gets a file of its own
and an upcaster that lifts the older ones.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest

from services.dispute.events import DisputeEvent
from services.ledger import mapper
from services.ledger.hashing import NO_HASH, event_hash
from services.ledger.mapper import (
    UPCASTERS,
    UnreadableEvent,
    decode_event,
    next_dispute_event,
    next_event,
    read_dispute_event,
    read_event,
)
from services.ledger.records import ChainedEvent, Metadata
from services.subscription.events import CreditsGranted, Event

FOLDER = Path(__file__).parent
FILES = sorted(path.name for path in FOLDER.glob("*.json"))
KINDS = {kind.__name__: kind for kind in (*get_args(Event), *get_args(DisputeEvent))}
STREAM = UUID(int=1)
AT = datetime(2024, 1, 31, 10, 0, 0, 123456, tzinfo=UTC)

# The hash of each as the first event of STREAM at AT: what chains and checkpoints rest on.
HASHES = {
    "AlertsChanged.v1.json": "b404bfe23359edda8bfe7325013aecd14dfb9074cfbb5b1d1806feabbb545039",
    "AlertsChanged.v1.least.json": "e2bf92e04a6f05e01c9e8ca0f9527e65ba30836b30312631916cc74cee7ac3e8",
    "ChargeReversed.v1.deducted.json": "6a6256d65e7f443801220e7b192373c46f472a83e71fa0475e119f3381834b0a",
    "ChargeReversed.v1.json": "d751843f191e21ecd5fd15c794b8c418db49542bc926926f63c6bdc52c8f5458",
    "CreditsAdjusted.v1.alerts.json": "c0928995c94dfd2250260a93810fd808d6fd6fd8f8686d69d9d9ac1fad595d21",
    "CreditsAdjusted.v1.json": "f360ee74b904ee1d0035999c5277647cc7ab2246432b7c921f7befc7cc3a9808",
    "CreditsGranted.v1.json": "d54feccee5ac6dd73e81b8d60435494374c97e3d47c3751c7f3483c1bec23a22",
    "CreditsGranted.v1.moved.json": "e5fa3508b2646c7c634848529732dd271c1b0cb1b17b01bfa2aa8e00378754ab",
    "CreditsHeld.v1.bands.json": "99b9938280e4a57ec9b7d514fdc2ecf25e135928441e55503e07601c52eee753",
    "CreditsHeld.v1.json": "e857a80fb1d71805d7a1a56c0026080d09c8f55682651ffe30bfd24172ec16c0",
    "CycleReset.v1.held.json": "93508ac8695872cae59dfa97f7c2ff4a3a554c5f79ba0002c68168eb76f55662",
    "CycleReset.v1.json": "0d0971120a20dd92b554fdda0efc808dbda001657f85185d3119d5561972ee55",
    "DisputeOpened.v1.json": "8f81c599cc90948cfe38988db32f6fbc86e8fa3af00df6dcd8366305f92a9e71",
    "DisputeResolved.v1.json": "c076338c4aa34da4b3db6f732b0c7a182b75bd427691daa51668ace1c8d6fbf8",
    "DisputeResolved.v1.partly.json": "d4c7155f812b5980eb8191c8391d03ce89ab2c7a09960163f39ca306ee5ebbf2",
    "DisputeResolved.v1.rule.json": "e1726fd519234a7cf277ef9de93f730e930f652f374e80383275c1fd7ba20745",
    "GenerationCharged.v1.alerts.json": "a342f6da8227e63fae80ad226b41ed89e361f55645332250e9db1e7e820797dc",
    "GenerationCharged.v1.captured.json": "6e0be3604a00e049f94c930f1ffacb9fe80642012eda18436930bcf4bf7aa8f9",
    "GenerationCharged.v1.json": "7c4a7f4ba90b08ef6bcc69b46472d89e496d938f6499781041fb214b6503b182",
    "GenerationCharged.v1.least.json": "c438b541ccd8b8119aed2db0ff9dce29534cc2149d50dde99e106d0a7e0b47a4",
    "HoldReleased.v1.json": "dbe72257d1b90274f1e862617f5825dc57beb0ce739d847655a976ce65fb0d33",
    "HoldReleased.v1.least.json": "6b8088bb12cf9cdaa09bf219317b5aa0e8d24d5dc3493528ad5abdf0e11de11e",
    "PlanChangeScheduled.v1.json": "7c93d03aa923775846589b5a4be8349e31271ef5b90e1245d3c36ad4c228d93d",
    "PlanChangeUnscheduled.v1.json": "1e9a7ee2e1adf79e1b2da6496d026c904a6211acd63bc8397e5ec55048079c68",
    "PlanUpgraded.v1.json": "fdc37c89dc0ff55327dc5a04cc4e2db2ead1fa516a6a69af4317603790e4fde7",
    "PlanUpgraded.v1.least.json": "c7ede10423ae3bdec208df8c5a15517a02678ad5dfd4652e2b35bc5284f30843",
    "PlanUpgraded.v1.undeducted.json": "e6a189d826a576f212c975663d68159a1a790d9c82de846c5d03d96ed7deeb24",
    "SubscriptionCancelled.v1.json": "e954e3aaf4a13ba1a85748fd27a0c039483cae7e9e62efe0796a0f6a07845b55",
    "SubscriptionEnded.v1.held.json": "41c5752c2bef2f4e5c7f47d09828fc7c7d1e5353ac2559eac28df6dbf5f927a7",
    "SubscriptionEnded.v1.json": "051eb168d920a6d3f9b6967a7874c0ab3ed4dc98e272c02d4bce0c901c22afce",
    "SubscriptionReinstated.v1.json": "e3adb26f50b17b3de95b16c4817202b95d0ad2ea78dfe61a388a52666ae584d9",
    "SubscriptionStarted.v1.json": "27e1d54d201021b5bdd573aa02ce01a15d7397cec6ae012afdc12fc8a3b71167",
    "SubscriptionStarted.v1.least.json": "cbc898b9bddbb88ceab52ad6e59e6321754368a43c69387d07645d4968e14d5b",
    "SubscriptionStarted.v1.moved.json": "2d226f9267de6632a03b31bfc2436138cea165c6af4f5420e3e194be9dbfae1b",
    "SubscriptionSuspended.v1.json": "29977c55c3a2e9e5eabd6510e8bb85c706350e9552bbfcc6b6bc5a55176f675a",
    "TermRenewed.v1.json": "11cbbccc366399aa9410740dd0702867072cc6dc8d6e755fd978c3b15a0d359c",
}


def stored(name: str) -> bytes:
    return (FOLDER / name).read_bytes().removesuffix(b"\n")


def topic_and_version(name: str) -> tuple[str, int]:
    topic, version, *_ = name.split(".")
    return topic, int(version.removeprefix("v"))


def newest_version(topic: str) -> int:
    return 1 + len(UPCASTERS.get(topic, ()))


NEWEST = [name for name in FILES for topic, version in [topic_and_version(name)] if version == newest_version(topic)]


def chained(topic: str, state: bytes) -> ChainedEvent:
    return ChainedEvent(STREAM, 1, topic, state, AT, NO_HASH)


def written_again(topic: str, state: bytes) -> bytes:
    """Load an event, and write it as it would be stored today."""
    is_of_dispute = KINDS[topic] in get_args(DisputeEvent)
    read: Any = read_dispute_event if is_of_dispute else read_event
    write: Any = next_dispute_event if is_of_dispute else next_event
    recorded = read(chained(topic, state))
    again: bytes = write(STREAM, None, recorded.event, recorded.metadata, AT).stored.state
    return again


@pytest.mark.parametrize("name", FILES)
def test_it_loads(name: str) -> None:
    topic, _ = topic_and_version(name)
    assert type(decode_event(topic, stored(name))) is KINDS[topic]


@pytest.mark.parametrize("name", NEWEST)
def test_it_is_written_to_the_same_bytes(name: str) -> None:
    topic, _ = topic_and_version(name)
    assert written_again(topic, stored(name)) == stored(name)


@pytest.mark.parametrize("name", FILES)
def test_its_hash_stays(name: str) -> None:
    topic, _ = topic_and_version(name)
    assert event_hash(STREAM, 1, AT, NO_HASH, topic, stored(name)).hex() == HASHES[name]


def test_every_event_has_a_file_for_each_of_its_forms() -> None:
    there_are = {topic_and_version(name) for name in FILES}
    assert there_are == {(topic, version) for topic in KINDS for version in range(1, newest_version(topic) + 1)}


@pytest.mark.parametrize("topic", KINDS)
def test_the_files_of_an_event_show_every_field_of_its_newest_form(topic: str) -> None:
    """Together they have every field, so that a field that is removed or renamed fails the test of the same bytes."""
    shown: set[str] = set()
    for name in FILES:
        if topic_and_version(name) == (topic, newest_version(topic)):
            shown |= msgspec.json.decode(stored(name))["data"].keys()
    assert shown == set(KINDS[topic].__struct_fields__)


class WithoutCycle(msgspec.Struct, frozen=True):
    """`CreditsGranted` without one of its fields."""

    credits: int


class Renamed(msgspec.Struct, frozen=True):
    """`CreditsGranted` with a field of another name."""

    amount_credits: int
    cycle_number: int


@pytest.mark.parametrize("changed", [WithoutCycle, Renamed])
def test_a_field_that_is_removed_or_renamed_fails(monkeypatch: pytest.MonkeyPatch, changed: Any) -> None:
    """The tests above can fail: with a changed event in place of the real one, they would."""
    state = stored("CreditsGranted.v1.json")
    decoder = msgspec.json.Decoder(mapper.StoredBody[changed])
    monkeypatch.setitem(mapper._OF_SUBSCRIPTIONS, "CreditsGranted", decoder)

    try:
        again = written_again("CreditsGranted", state)
    except UnreadableEvent:
        return
    assert again != state


def test_an_older_form_is_lifted_to_todays(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this test `CreditsGranted` had `amount` at first, and then no cycle."""

    def rename_amount(data: dict[str, Any]) -> dict[str, Any]:
        return {"credits": data.pop("amount"), **data}

    def begin_with_cycle_one(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "cycle_number": 1}

    monkeypatch.setattr(mapper, "UPCASTERS", {"CreditsGranted": (rename_amount, begin_with_cycle_one)})
    by = b'"metadata":{"key_id":"k","request_id":"r"}'
    today = CreditsGranted(credits=7_500, cycle_number=1)

    assert decode_event("CreditsGranted", b'{"data":{"amount":7500},' + by + b"}") == today
    assert decode_event("CreditsGranted", b'{"data":{"credits":7500},' + by + b',"v":2}') == today
    newest = next_event(STREAM, None, today, Metadata("k", "r"), AT).stored.state
    assert newest == b'{"data":{"credits":7500,"cycle_number":1},' + by + b',"v":3}'
    assert decode_event("CreditsGranted", newest) == today


def test_a_form_newer_than_the_program_is_refused() -> None:
    state = stored("CreditsGranted.v1.json").replace(b'"metadata"', b'"v":2,"metadata"')
    with pytest.raises(UnreadableEvent, match="its form is version 2, newer than this program"):
        decode_event("CreditsGranted", state)


@pytest.mark.parametrize("state", [b"", b"{}", b"[]", b"\xff", b'{"data":{},"metadata":{}}', b'{"data":7}'])
def test_what_is_no_event_is_refused(state: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        decode_event("CreditsGranted", state)
    with pytest.raises(UnreadableEvent):
        decode_event("NoSuchEvent", state)
