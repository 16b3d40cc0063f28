"""Puts an event of a subscription into a sentence that says what it did to the balance, and whose it was."""

import re
from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec import Struct

from services.http.console.rendering import credits_in_words, signed
from services.ledger.mapper import read_event
from services.ledger.records import ChainedEvent
from services.subscription.events import CreditsHeld, GenerationCharged
from services.subscription.wording import wording_of

_NUMBERS = re.compile(r"(?<=\d)\.(?=\d)")


class Sentence(Struct, frozen=True):
    """An event in a sentence, with the key and the agent that it was recorded for."""

    text: str
    key_id: str
    request_id: str
    agent: str | None


class _Caller(Struct):
    key_id: str
    request_id: str
    agent: str | None = None


class _Body(Struct):
    metadata: _Caller


def sentence_of(event: ChainedEvent, key_names: Mapping[str, str]) -> Sentence:
    """Put a stored event of a subscription into a sentence."""
    caller = msgspec.json.decode(event.state, type=_Body).metadata
    who = f"by key {key_names.get(caller.key_id, caller.key_id)}" + (f" for {caller.agent}" if caller.agent else "")
    body = read_event(event).event
    what = charge_sentence(body) if isinstance(body, GenerationCharged) else wording_of(body).sentence.rstrip(".")
    return Sentence(f"{what}, {who}", caller.key_id, caller.request_id, caller.agent)


def charge_sentence(charge: GenerationCharged) -> str:
    """Write what a charge did: `−300 for one Lyria 3 Pro track, 40,000 → 39,700`."""
    before, after = credits_in_words(charge.balance_before), credits_in_words(charge.balance_after)
    return f"{signed(-charge.credits)} for {what_was_made(charge)}, {before} → {after}"


def what_was_made(charge: GenerationCharged | CreditsHeld) -> str:
    """Write what was paid for: `one Lyria 3 Pro track`, `12.5 seconds of Veo 3`, `1,300 characters of Voice 1`."""
    price, model, unit = charge.price, model_name(charge.model), charge.price.unit
    if price.unit in {"track", "image"}:
        return f"one {model} {unit}" if price.quantity == 1 else f"{_plain(price.quantity)} {model} {unit}s"
    amount, unit = (price.quantity * 1_000, "character") if price.unit == "1000_characters" else (price.quantity, unit)
    return f"{_plain(amount)} {unit}{'' if amount == 1 else 's'} of {model}"


def model_name(model: str) -> str:
    """Write the id of a model as a name: `lyria-3-pro` is Lyria 3 Pro."""
    return " ".join(word[:1].upper() + word[1:] for word in model.split("-"))


def _plain(number: Decimal) -> str:
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if _NUMBERS.search(text) else text
