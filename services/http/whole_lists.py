"""Gives every list that comes in pages as a stream too: page after page of the same handler, by its own cursors."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct, structs, to_builtins
from msgspec.inspect import Field, Metadata, StructType, Type, UnionType
from starlette.responses import StreamingResponse

from services.http import exports
from services.http.exports import CSV, JSON, NDJSON, instant_cell, lines_of, preferred, refuse_pages, stream_of
from services.http.paging import Page, Paging
from services.http.server.exchange import Exchange
from services.http.server.reply import encode

_NO_FILE_NAME = re.compile(r"[^A-Za-z0-9-]+")


def item_of(handler: Callable[..., Any]) -> type[Struct] | None:
    """Return the struct of the items, where a handler returns pages and nothing else; None for any other handler.

    Such a handler takes, among others, a `call` and a `query`, which is a `Paging`.
    """
    hints = get_type_hints(handler)
    return get_args(hints["return"])[0] if get_origin(hints["return"]) is Page and "query" in hints else None


def shown_as_streams(page: Page[Any]) -> dict[str, str]:
    """Show the items of an example as CSV and as NDJSON."""
    texts = {}
    for form in (CSV, NDJSON):
        chunks = lines_of(form, [*columns_of(type(page.data[0]))], iter([page.data]), _cells)
        texts[form] = b"".join(chunks).decode()
    return texts


def whole_list(
    exchange: Exchange, item: type[Struct], query: Paging, page_of: Callable[[Paging], Page[Any]]
) -> StreamingResponse | None:
    """Stream the whole list in the form that the client prefers; None where that is JSON, which comes in pages.

    Raises Problem, and what `page_of` raises for the first page.
    """
    form = preferred(exchange)
    if form == JSON:
        return None
    refuse_pages(query)
    first = exports.in_turn(lambda: page_of(structs.replace(query, limit=exports.page_rows())))

    name = _NO_FILE_NAME.sub("-", exchange.path.removeprefix("/v1/")).strip("-")
    return stream_of(form, name, [*columns_of(item)], _pages(first, query, page_of), _cells)


def _pages(page: Page[Any], query: Paging, page_of: Callable[[Paging], Page[Any]]) -> Iterator[Sequence[Struct]]:
    while True:
        rows, cursor = [page.data], page.next_cursor
        del page
        yield rows.pop()  # a stream that nobody reads keeps no rows
        if cursor is None:
            return
        page = page_of(structs.replace(query, limit=exports.page_rows(), cursor=cursor))


def columns_of(item: type[Struct]) -> Iterator[str]:
    """Yield the columns of an item in CSV; a field of a struct within it is named `cycle.number`."""
    kind = msgspec.inspect.type_info(item)
    assert isinstance(kind, StructType)
    return _columns(kind.fields, "")


def _cells(item: Struct, prefix: str = "") -> dict[str, Any]:
    """Make the cells of an item; a list or an object of no struct is its JSON."""
    cells: dict[str, Any] = {}
    for name, field in zip(item.__struct_encode_fields__, item.__struct_fields__, strict=True):
        match getattr(item, field):
            case Struct() as within:
                cells.update(_cells(within, f"{prefix}{name}."))
            case datetime() as at:
                cells[prefix + name] = instant_cell(at)
            case None | msgspec.UNSET:
                pass
            case str() | int() as plain:
                cells[prefix + name] = to_builtins(plain)
            case other:
                cells[prefix + name] = encode(other).decode().strip('"')
    return cells


def _columns(fields: tuple[Field, ...], prefix: str) -> Iterator[str]:
    for field in fields:
        if (within := _struct_in(field.type)) is None:
            yield prefix + field.encode_name
        else:
            yield from _columns(within.fields, f"{prefix}{field.encode_name}.")


def _struct_in(kind: Type) -> StructType | None:
    """Return the struct that a field is, or may be."""
    match kind:
        case Metadata(type=inner):
            return _struct_in(inner)
        case UnionType(types=kinds):
            return next((found for each in kinds if (found := _struct_in(each)) is not None), None)
        case StructType():
            return kind
        case _:
            return None
