"""Rewrites the stored JSON of events at random, in values, members and bytes: what a ledger that lies could sign."""

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 300, 2**53, 10**30, 1.5, -0.0, "", "x", "300", [], {}),
    *("2024-02-29T10:00:00Z", "2024-02-29T10:00:00.000000Z", "2024-02-29T10:00:00.100000Z", "2024-02-30T10:00:00Z"),
    *("2024-02-29T24:00:00Z", "2024-02-29t10:00:00z", "2024-02-29T10:00:00+00:00", "0001-01-01T00:00:00Z"),
    *("0f8fad5b-d9cb-469f-a165-70867728950e", "original_cycle", "music", "per_second", "yearly", "\ud7ff", "a\x00b"),
)
REPLACED = (
    *((":", ": "), (":1,", ":1.0,"), (":300", ":3e2"), (":150", ":150.00"), (":150", ":1.5e2"), (":150", ":-0")),
    *(('"count":2', '"count":2,"count":2'), ("}}", '},"v":1}'), ("}}", '},"v":2}'), ("}}", '},"v":true}')),
)


def lie(state: bytes, random: Random) -> bytes:
    """Rewrite stored JSON in one place or two."""
    document = json.loads(state)
    for _ in range(random.choice((1, 1, 2))):
        places = list(_places(document))
        if places:
            _edit(*random.choice(places), random)
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    if random.random() < 0.3:
        text = text.replace(*random.choice(REPLACED), 1)
    return text.encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each member of an object and each item of a list, with what has it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in list(items):
        yield value, key
        yield from _places(member)


def _edit(holder: Any, key: Any, random: Random) -> None:
    number = holder[key]
    match random.randrange(5):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[f"{key}-{random.randrange(3)}"] = deepcopy(random.choice(VALUES))
        case 2 if type(number) is int:
            holder[key] = number + random.choice((-100, -1, 1, 100))
        case _:
            holder[key] = deepcopy(random.choice(VALUES))
