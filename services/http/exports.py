"""Streams whole lists, for spreadsheets and pipelines: `text/csv` and `application/x-ndjson`.

A stream is read page by page, each page by a query of its own that starts behind the last row. So a million rows take
the memory of one page, hold no connection and no transaction while a slow client reads, and need nothing of a
connection pooler. Positions and versions have no gaps and never change, so no row is left out and none comes twice.
"""

import csv
import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from fastapi import Depends
from msgspec import UNSET, Raw, Struct, to_builtins
from starlette.requests import Request
from starlette.responses import StreamingResponse

from services.http.paging import LIMIT_DEFAULT, Paging
from services.http.patience import Payments
from services.http.problems import NotAcceptable, Problem, invalid
from services.http.server.exchange import Exchange, exchange_of
from services.http.server.reply import encode
from services.postgres.database import read_again

T = TypeVar("T", bound=Struct)
R = TypeVar("R")

PAGE_ROWS = 250
_PAGE_ROWS_BESIDE_PAYMENTS = 50
"""Reading and writing a page keeps interpreter and core from others: a payment would wait for all of it."""
JSON: Final = "application/json"
CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
EVENT_STREAM: Final = "text/event-stream"
HTML: Final = "text/html"

Format = Literal["application/json", "text/csv", "application/x-ndjson"]
FeedFormat = Literal["application/json", "text/csv", "application/x-ndjson", "text/event-stream"]
PageFormat = Literal["application/json", "text/csv", "application/x-ndjson", "text/html"]
_TURN = threading.Lock()
Place = Any
"""A page begins behind a place, which is a version or a position."""


async def accepted_format(request: Request) -> Format:
    """Return the form that the client prefers, as `preferred` does."""
    return preferred(exchange_of(request.scope))


async def accepted_feed_format(request: Request) -> FeedFormat:
    """Return the form that the client prefers, as `preferred` does, of those in which a feed comes."""
    chosen: FeedFormat = _preferred(exchange_of(request.scope), get_args(FeedFormat))
    return chosen


async def accepted_page_format(request: Request) -> PageFormat:
    """Return the form that the client prefers, as `preferred` does, of those of what can be printed too."""
    chosen: PageFormat = _preferred(exchange_of(request.scope), get_args(PageFormat))
    return chosen


def preferred(exchange: Exchange) -> Format:
    """Return the form that the client prefers by its `Accept` (RFC 9110, 12.5.1); of equal ones JSON.

    Raises Problem where it takes none of them.
    """
    chosen: Format = _preferred(exchange, get_args(Format))
    return chosen


def _preferred(exchange: Exchange, offered: tuple[Any, ...]) -> Any:
    best = max(offered, key=partial(_quality_of, exchange.accept))  # of equals the first, which is JSON
    if not _quality_of(exchange.accept, best):
        raise Problem(NotAcceptable(offered))
    return best


def refuse_all_but_json(exchange: Exchange) -> None:
    """Raise Problem where the client does not take JSON, which is all that most routes answer with."""
    if exchange.accept and not _quality_of(exchange.accept, JSON):
        raise Problem(NotAcceptable((JSON,)))


@lru_cache(maxsize=256)
def _quality_of(accept: str, form: FeedFormat | PageFormat) -> float:
    """Return what the most specific range of an `Accept` says of a form; without any, everything is taken."""
    ranges = dict(map(_range, filter(str.strip, accept.lower().split(",")))) or {"*/*": 1.0}
    fitting = (form, f"{form.partition('/')[0]}/*", "*/*")
    return next((ranges[each] for each in fitting if each in ranges), 0.0)


def _range(written: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip() for part in written.split(";"))
    return media_range, _quality(parameters)


def _quality(parameters: Sequence[str]) -> float:
    for each in parameters:
        name, _, value = each.partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


Accepted = Annotated[Format, Depends(accepted_format)]
FeedAccepted = Annotated[FeedFormat, Depends(accepted_feed_format)]
PageAccepted = Annotated[PageFormat, Depends(accepted_page_format)]


def streamed(
    form: Format,
    name: str,
    columns: Sequence[str],
    query: Paging,
    fetch: Callable[[Place | None, int], Sequence[T]],
    place_of: Callable[[T], Place],
) -> StreamingResponse:
    """Stream a whole list, one line a row, in CSV below a header line. `name` is the name of the file.

    `fetch(place, limit)` reads the rows behind a place; behind None are the first. Raises Problem, and what `fetch`
    raises for the first rows. A failure after that breaks the connection off: nobody takes a part for the whole.
    """
    refuse_pages(query)
    limit = page_rows()
    first = in_turn(lambda: fetch(None, limit))
    pages = _pages(first, limit, lambda place, limit: read_again(partial(fetch, place, limit)), place_of)
    return stream_of(form, name, columns, pages)


def page_rows() -> int:
    """Return how many rows of a whole list are read at a time."""
    return min(PAGE_ROWS, _PAGE_ROWS_BESIDE_PAYMENTS) if Payments.are_asked_for() else PAGE_ROWS


def refuse_pages(query: Paging) -> None:
    """Raise Problem for a page of what is to be streamed whole."""
    for parameter, is_given in (("cursor", query.cursor is not None), ("limit", query.limit != LIMIT_DEFAULT)):
        if is_given:
            raise invalid(parameter, "is not for a stream, which has everything")


def stream_of(
    form: Format | PageFormat,
    name: str,
    columns: Sequence[str],
    pages: Iterator[Sequence[Struct]],
    cells_of: "Callable[[Struct], dict[str, Any]] | None" = None,
) -> StreamingResponse:
    """Stream pages as lines. `cells_of` makes the cells of a line of CSV by the names of their columns."""
    lines = _by_turns(lines_of(form, columns, pages, cells_of or _cells))
    file_name = f"{name}.{'csv' if form == CSV else 'ndjson'}"
    headers = {"content-disposition": f'attachment; filename="{file_name}"', "vary": "Accept"}
    return StreamingResponse(lines, media_type=form, headers=headers)


def lines_of(
    form: Format | PageFormat,
    columns: Sequence[str],
    pages: Iterator[Sequence[Struct]],
    cells_of: Callable[[Struct], dict[str, Any]],
) -> Iterator[bytes]:
    """Yield the lines of each page, in CSV below a header line."""
    return _csv(columns, pages, cells_of) if form == CSV else _ndjson(pages)


def _by_turns(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Let one stream of the process make its next page at a time, and payments pass after it."""
    while (chunk := _next_in_turn(chunks)) is not None:
        yield chunk


def _next_in_turn(chunks: Iterator[bytes]) -> bytes | None:
    return in_turn(lambda: next(chunks, None))


def in_turn(read: Callable[[], R]) -> R:
    """Read a part of a stream, one of the process at a time, and let payments pass after it."""
    with _TURN:
        began = time.perf_counter()
        found = read()
        Payments.let_pass(time.perf_counter() - began)
    return found


def _pages(
    page: Sequence[T], limit: int, fetch: Callable[[Place | None, int], Sequence[T]], place_of: Callable[[T], Place]
) -> Iterator[Sequence[T]]:
    while True:
        rows, place = [page], place_of(page[-1]) if len(page) == limit else None
        del page
        yield rows.pop()  # a stream that nobody reads keeps no rows
        if place is None:
            return
        limit = page_rows()
        page = fetch(place, limit)


def _ndjson(pages: Iterator[Sequence[Struct]]) -> Iterator[bytes]:
    return map(_lines, pages)


def _lines(page: Sequence[Struct]) -> bytes:
    return b"".join(encode(item) + b"\n" for item in page)


def _csv(
    columns: Sequence[str], pages: Iterator[Sequence[Struct]], cells_of: Callable[[Struct], dict[str, Any]]
) -> Iterator[bytes]:
    """Yield lines as in RFC 4180. An object in a field is spread over columns of its keys; null is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    for page in pages:
        writer.writerows(map(cells_of, page))
        del page
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def _cells(item: Struct) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name in item.__struct_fields__:
        value = getattr(item, name)
        if isinstance(value, Struct):
            cells.update(to_builtins(value))
        elif isinstance(value, datetime):
            cells[name] = instant_cell(value)
        elif value is not UNSET:
            cells[name] = bytes(value).decode() if isinstance(value, Raw) else to_builtins(value)
    return cells


def instant_cell(at: datetime) -> str:
    """Write an instant in UTC; all of a column have one length, and sort as text."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
