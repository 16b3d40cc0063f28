"""Arrays as PostgreSQL takes them in binary, each written in one go.

psycopg writes an array element by element, in Python, and a batch of charges has seventeen arrays. These are arguments
of `%(name)b` placeholders, on connections that `services/postgres/database.py` has configured. No element may be None.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct, pack
from typing import Any, ClassVar
from uuid import UUID

from psycopg.abc import AdaptContext
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEAD = Struct(">iiIii")
"""Dimensions, whether there are NULLs, the type of the elements, how many they are, the number of the first."""
_LENGTH = Struct(">i")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Array:
    """An array of one dimension; `bytes` of it is what goes to PostgreSQL."""

    __slots__ = ("_values",)
    oid: ClassVar[int]
    element_oid: ClassVar[int]

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __bytes__(self) -> bytes:
        if not self._values:
            return pack(">iiI", 0, 0, self.element_oid)
        return _HEAD.pack(1, 0, self.element_oid, len(self._values), 1) + self._elements()

    def _elements(self) -> bytes:
        raise NotImplementedError


class Bigints(Array):
    """bigint[], of ints. `bytes` raises struct.error for a number beyond 64 bits."""

    __slots__ = ()
    oid, element_oid = 1016, 20

    def _elements(self) -> bytes:
        return _of_eight_bytes(self._values)


class Instants(Array):
    """timestamptz[], of aware datetimes."""

    __slots__ = ()
    oid, element_oid = 1185, 1184

    def _elements(self) -> bytes:
        return _of_eight_bytes([_microseconds(instant) for instant in self._values])


class Uuids(Array):
    """uuid[], of UUIDs."""

    __slots__ = ()
    oid, element_oid = 2951, 2950
    _before_each = _LENGTH.pack(16)

    def _elements(self) -> bytes:
        values: Sequence[UUID] = self._values
        return self._before_each + self._before_each.join([value.bytes for value in values])


class Blobs(Array):
    """bytea[], of bytes."""

    __slots__ = ()
    oid, element_oid = 1001, 17

    def _elements(self) -> bytes:
        return _with_lengths(self._values)


class Texts(Array):
    """text[], of strings. `bytes` raises UnicodeEncodeError for half a surrogate pair."""

    __slots__ = ()
    oid, element_oid = 1009, 25

    def _elements(self) -> bytes:
        return _with_lengths([value.encode() for value in self._values])


class ArrayDumper(Dumper):
    """Hands an array to psycopg as it is; one subclass for each kind, since psycopg asks the class for the type."""

    format = Format.BINARY

    def dump(self, obj: Array) -> Buffer:
        return bytes(obj)


def register_arrays(context: AdaptContext) -> None:
    """Have the connections of this context take these arrays."""
    assert context.adapters is not None
    for kind in (Bigints, Instants, Uuids, Blobs, Texts):
        context.adapters.register_dumper(kind, type(f"{kind.__name__}Dumper", (ArrayDumper,), {"oid": kind.oid}))


def _of_eight_bytes(values: Sequence[int]) -> bytes:
    numbers = [8] * (2 * len(values))  # each after its length
    numbers[1::2] = values
    return pack(">" + "iq" * len(values), *numbers)


def _with_lengths(values: Iterable[bytes]) -> bytes:
    length = _LENGTH.pack
    return b"".join([part for value in values for part in (length(len(value)), value)])


@lru_cache(64)  # the events of a batch have one instant, or few
def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
