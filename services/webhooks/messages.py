"""The messages that a recorded event brings about for an endpoint: itself, and one for each alert that it crossed."""

import re
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from services.ledger.history import StoredEvent
from services.ledger.mapper import TOPICS

BALANCE_LOW = "balance-low"
CHECKPOINT_SIGNED = "checkpoint-signed"
VERIFICATION_FAILED = "verification-failed"
TEST = "webhook-test"

_WORD = re.compile(r"(?<!^)(?=[A-Z])")
ALERTS_MARK = b'"alerts":[{'
"""The bytes in the data of an event that crossed a threshold."""

encode = msgspec.json.Encoder(decimal_format="number").encode


def kebab(topic: str) -> str:
    """Write the type of an event as that of a message: `GenerationCharged` is `generation-charged`."""
    return _WORD.sub("-", topic).lower()


TOPIC_BY_TYPE = {kebab(topic): topic for topic in TOPICS}
TYPES = (*TOPIC_BY_TYPE, BALANCE_LOW, CHECKPOINT_SIGNED, VERIFICATION_FAILED)
"""Every type that an endpoint can take."""


class Place(Struct, frozen=True, order=True):
    """The place of a message: the position of its event, and a number among the messages of that event."""

    position: int
    ordinal: int = 0


class Message(Struct, frozen=True):
    """One message to one endpoint; its id is the same at every try."""

    message_id: str
    type: str
    body: bytes


class LedgerMessage(Message, frozen=True):
    """A message that an event brings about."""

    place: Place
    subscription_id: UUID


class _Body(Struct):
    type: str
    timestamp: datetime
    data: Any


class BalanceLow(Struct, frozen=True):
    """The available credits fell to a threshold or below it: the data of `balance-low`."""

    subscription_id: UUID
    threshold: str
    available_credits: int
    granted_credits: int
    cycle: int
    position: int


class _Crossed(Struct):
    threshold: str
    available_credits: int
    granted_credits: int


class _Alerting(Struct):
    cycle_number: int
    alerts: list[_Crossed] = []


_ALERTING = msgspec.json.Decoder(_Alerting)


def message_id_of(webhook_id: UUID, place: Place) -> str:
    """Return the id of a message."""
    return f"{webhook_id.hex}-{place.position}" + (f"-{place.ordinal}" if place.ordinal else "")


def notice_id_of(webhook_id: UUID, notice_id: int) -> str:
    """Return the id of a message that no event brings about."""
    return f"{webhook_id.hex}-n{notice_id}"


def messages_of(webhook_id: UUID, types: Collection[str], event: StoredEvent) -> Iterator[LedgerMessage]:
    """Yield the messages of one event, in their order."""
    for ordinal, (kind, data) in enumerate(_contents(event)):
        if kind in types:
            place = Place(event.position, ordinal)
            body = body_of(kind, event.recorded_at, data)
            yield LedgerMessage(message_id_of(webhook_id, place), kind, body, place, event.subscription_id)


def _contents(event: StoredEvent) -> Iterator[tuple[str, Any]]:
    yield kebab(event.type), event
    if ALERTS_MARK in bytes(event.data):
        alerting = _ALERTING.decode(event.data)
        for each in alerting.alerts:
            yield (
                BALANCE_LOW,
                BalanceLow(
                    subscription_id=event.subscription_id,
                    threshold=each.threshold,
                    available_credits=each.available_credits,
                    granted_credits=each.granted_credits,
                    cycle=alerting.cycle_number,
                    position=event.position,
                ),
            )


def body_of(kind: str, timestamp: datetime, data: Any) -> bytes:
    """Encode the body of a message."""
    return encode(_Body(kind, timestamp, data))
