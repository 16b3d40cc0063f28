"""Finds a key that a JSON object has twice, which decoders pass over: of two values one is lost without a word."""

import json
from typing import Any

from msgspec import Struct

from services.http.server.reply import encode


class RepeatedKey(ValueError):
    """An object has this key twice."""


def refuse_repeated_keys(text: bytes, decoded: Struct) -> None:
    """Raise RepeatedKey for the first key that an object of the JSON has twice; `decoded` is what it was decoded to.

    Encoded again, without what is left to its default, it has one colon a key and those of the texts. Where the JSON
    has as many, and escapes none of them, no key is there twice; that is quickly seen, and true of most requests. Any
    other JSON is parsed once more.
    """
    if b"\\" in text or text.count(b":") != encode(decoded).count(b":"):
        json.loads(text.decode(), object_pairs_hook=_distinct, parse_int=str, parse_float=str)


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise RepeatedKey(key)
        seen.add(key)
