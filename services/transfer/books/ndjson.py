"""Books as NDJSON: a JSON object a line. The end has the SHA-256 of every byte before it."""

from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO, TypeVar

import msgspec
from msgspec import Struct

from projections.movements.queries import Movement
from services.transfer.books.form import FORM, End, Head, NotBooks, Sums, check_end

T = TypeVar("T", bound=Struct)

_ENCODE = msgspec.json.Encoder().encode
_ROW = msgspec.json.Decoder(Movement)


class NdjsonWriter:
    """Writes books as NDJSON."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = sha256()
        self._sums = Sums()

    def begin(self, head: Head) -> None:
        """Write the head. Raises OSError."""
        self._put(head)

    def add(self, row: Movement) -> None:
        """Write a row. Raises OSError."""
        self._sums.add(row)
        self._put(row)

    def end(self) -> End:
        """Write and return the end. Raises OSError."""
        end = self._sums.end(self._digest.hexdigest())
        self._put(end)
        return end

    def _put(self, line: Struct) -> None:
        text = _ENCODE(line) + b"\n"
        self._digest.update(text)
        self._file.write(text)


class NdjsonReader:
    """Reads books as NDJSON. Raises NotBooks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        text = file.readline()
        self.head = _decoded(text, Head, 1)
        if self.head.form != FORM:
            raise NotBooks(f"form {self.head.form}, and this program reads form {FORM}")
        self._digest = sha256(text)

    def rows(self) -> Iterator[Movement]:
        """Yield the rows, and check the end behind them. Raises NotBooks."""
        sums = Sums()
        for number, text in enumerate(self._file, start=2):
            if text.startswith(b'{"kind":"end"'):
                check_end(_decoded(text, End, number), sums, self._digest.hexdigest())
                if self._file.read(1):
                    raise NotBooks(f"line {number + 1}: something comes after the end")
                return
            try:
                row = _ROW.decode(text)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise NotBooks(f"line {number}: {error}") from None
            self._digest.update(text)
            sums.add(row)
            yield row
        raise NotBooks("the end is missing: the file was cut")


def _decoded(text: bytes, kind: type[T], number: int) -> T:
    """Decode the head or the end, which has one form of its bytes. Raises NotBooks."""
    try:
        line = msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotBooks(f"line {number}: {error}") from None
    if _ENCODE(line) + b"\n" != text:
        raise NotBooks(f"line {number}: it is not as it was written")
    return line
