"""Books as Parquet, for warehouses and notebooks. The head and the end are in the metadata of the file, as JSON."""

from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from typing import Any, BinaryIO
from uuid import UUID

import msgspec
from msgspec.structs import astuple

from projections.movements.queries import Movement
from services.transfer.books.form import FORM, SUMS, End, Head, NoParquet, NotBooks, Sums, check_end

MAGIC = b"PAR1"
_ROWS_A_GROUP = 50_000
_HEAD, _END = b"tallystick.head", b"tallystick.end"


class ParquetWriter:
    """Writes books as Parquet. Raises NoParquet."""

    def __init__(self, file: BinaryIO) -> None:
        self._arrow, library = _libraries()
        self._schema = _schema(self._arrow)
        self._library: Any = library
        self._file = file
        self._writer: Any = None
        self._head = b""
        self._columns: list[list[Any]] = [[] for _ in self._schema]
        self._sums = Sums()

    def begin(self, head: Head) -> None:
        """Write the head."""
        self._head = msgspec.json.encode(head)
        options = {"compression": "zstd", "write_page_checksum": True}
        self._writer = self._library.ParquetWriter(self._file, self._schema, **options)
        self._writer.add_key_value_metadata({_HEAD: self._head})

    def add(self, row: Movement) -> None:
        """Write a row. Raises OSError."""
        self._sums.add(row)
        position, subscription_id, *others = astuple(row)
        for column, value in zip(self._columns, (position, str(subscription_id), *others), strict=True):
            column.append(value)
        if len(self._columns[0]) == _ROWS_A_GROUP:
            self._flush()

    def end(self) -> End:
        """Write and return the end. Raises OSError."""
        self._flush()
        end = self._sums.end(sha256(self._head).hexdigest())
        self._writer.add_key_value_metadata({_END: msgspec.json.encode(end)})
        self._writer.close()
        return end

    def _flush(self) -> None:
        self._writer.write_table(self._arrow.table(self._columns, schema=self._schema))
        self._columns = [[] for _ in self._schema]


class ParquetReader:
    """Reads books as Parquet. Raises NotBooks, NoParquet."""

    def __init__(self, file: BinaryIO) -> None:
        arrow, library = _libraries()
        self._broken = (arrow.ArrowException, OSError, ValueError)
        try:
            self._file = library.ParquetFile(file, page_checksum_verification=True)
            if self._file.schema_arrow.remove_metadata() != _schema(arrow):
                raise NotBooks("it has other columns than books have")
            metadata = self._file.metadata.metadata or {}
            self.head = msgspec.json.decode(metadata[_HEAD], type=Head)
            self._end = msgspec.json.decode(metadata[_END], type=End)
            self._hash = sha256(metadata[_HEAD]).hexdigest()
        except KeyError:
            raise NotBooks("it is no file of books") from None
        except NotBooks:
            raise
        except self._broken as error:
            raise NotBooks(f"it cannot be read: {error}") from None
        if self.head.form != FORM:
            raise NotBooks(f"form {self.head.form}, and this program reads form {FORM}")

    def rows(self) -> Iterator[Movement]:
        """Yield the rows, and check the end behind them. Raises NotBooks."""
        sums = Sums()
        try:
            for batch in self._file.iter_batches():
                for position, id, *others in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    row = Movement(position, UUID(id), *others)
                    sums.add(row)
                    yield row
        except self._broken as error:
            raise NotBooks(f"it cannot be read: {error}") from None
        check_end(self._end, sums, self._hash)


def _schema(arrow: Any) -> Any:
    places = ("position", arrow.int64()), ("subscription_id", arrow.string())
    instant = "recorded_at", arrow.timestamp("us", tz="UTC")
    fields = (*places, instant, *((name, arrow.int64()) for name in SUMS))
    return arrow.schema([arrow.field(name, kind, nullable=False) for name, kind in fields])


def _libraries() -> tuple[Any, Any]:
    """Import pyarrow, which is an extra and large, once it is needed. Raises NoParquet."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise NoParquet("Parquet needs pyarrow, which is not installed: pip install 'tallystick[parquet]'") from None
