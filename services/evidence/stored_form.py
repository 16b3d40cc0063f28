"""Checks that the stored JSON of an event is of the form in which the ledger stores it.

Strict JSON, the fields of its type, and every value as the ledger writes it: one way to write an instant, a UUID or a
whole number. Fields that this program does not know are passed over.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from services.evidence.strict_json import NotStrict, read_strict
from services.ledger.mapper import UnreadableEvent, read_dispute_event, read_event
from services.ledger.records import ChainedEvent, Recorded, RecordedDispute


def read_stored(event: ChainedEvent) -> Recorded:
    """Read a stored event of a subscription. Raises NotStrict, UnreadableEvent."""
    raw = _strict(event)
    recorded = read_event(event)
    _check(raw, recorded)
    return recorded


def read_stored_dispute(event: ChainedEvent) -> RecordedDispute:
    """Read a stored event of a dispute. Raises NotStrict, UnreadableEvent."""
    raw = _strict(event)
    recorded = read_dispute_event(event)
    _check(raw, recorded)
    return recorded


def _strict(event: ChainedEvent) -> Any:
    try:
        return read_strict(event.state)
    except NotStrict as error:
        raise NotStrict(f"{event.topic} version {event.originator_version}: {error}") from None


def _check(raw: Any, recorded: Recorded | RecordedDispute) -> None:
    if raw.get("v", 1) != 1:
        raise UnreadableEvent("it is stored in an older form")
    written = {"data": written_form(recorded.event), "metadata": written_form(recorded.metadata)}
    check_written(raw, written, recorded.stored.topic)


def written_form(value: Any) -> Any:
    """Return the value as JSON has it, decimals and instants as they are."""
    return msgspec.to_builtins(value, builtin_types=(Decimal, datetime))


def check_written(raw: Any, written: Any, where: str) -> None:
    """Raise NotStrict where a value that both have is written in another way. Raw fields may be more, or fewer."""
    if isinstance(written, Mapping) and isinstance(raw, Mapping):
        for name in written.keys() & raw.keys():
            check_written(raw[name], written[name], f"{where}.{name}")
    elif isinstance(written, list | tuple) and isinstance(raw, list):
        for one, other in zip(raw, written, strict=True):
            check_written(one, other, where)
    elif isinstance(written, datetime):
        if raw != msgspec.to_builtins(written) or not raw.endswith("Z"):
            raise NotStrict(f"{where} is no instant as the ledger writes it")
    elif raw != written or isinstance(raw, str) != isinstance(written, str):
        raise NotStrict(f"{where} is not written as the ledger writes it")
