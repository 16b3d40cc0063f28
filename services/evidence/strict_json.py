"""Reads JSON strictly: UTF-8, no two equal keys in one object, no number that JSON does not have.

Documents are canonical besides (RFC 8785), so that each is one sequence of bytes.
"""

import json
from decimal import Decimal
from typing import Any, NoReturn

import msgspec
import rfc8785

NUMBER_DIGITS_MAX = 80
"""No number of a ledger has more digits, or an exponent beyond: whoever reads one can reckon with it."""


DEPTH_MAX = 100


class NotStrict(ValueError):
    """The bytes are no JSON of the form that is expected."""


def read_strict(content: bytes) -> Any:
    """Read JSON; a number with a fraction or an exponent is a Decimal. Raises NotStrict."""
    try:
        read = json.loads(
            content.decode(),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_decimal,
            parse_constant=_refuse_constant,
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise NotStrict(f"is no strict JSON: {error}") from None
    if content.count(b"[") + content.count(b"{") > DEPTH_MAX and _is_deeper(read, DEPTH_MAX):
        raise NotStrict(f"is no strict JSON: more than {DEPTH_MAX} objects and arrays stand in each other")
    return read


def read_canonical(content: bytes, kind: Any) -> Any:
    """Read a canonical document of a type. Raises NotStrict."""
    raw = read_strict(content)
    try:
        if rfc8785.dumps(raw) != content:
            raise NotStrict("is not canonical JSON")
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeError, rfc8785.CanonicalizationError, RecursionError) as error:
        raise NotStrict(str(error)) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise NotStrict("an object has two equal keys")
    return read


def _whole(text: str) -> int:
    if len(text) > NUMBER_DIGITS_MAX:
        raise NotStrict(f"a number has {len(text)} digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if len(text) > NUMBER_DIGITS_MAX or abs(number.adjusted()) > NUMBER_DIGITS_MAX:
        raise NotStrict("a number is beyond those of a ledger")
    return number


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in members)


def _refuse_constant(name: str) -> NoReturn:
    raise NotStrict(f"{name} is no number of JSON")
