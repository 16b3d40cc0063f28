"""Pages of lists. A cursor is the place where the next page of the same list begins."""

import base64
import binascii
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from projections.declaration import MAX_POSITION
from services.http.problems import invalid
from services.http.server.exchange import CURRENT_PATH
from services.http.server.reply import encode

T = TypeVar("T")
P = TypeVar("P")

LIMIT_DEFAULT = 100
LIMIT_MAX = 1_000
_LIST_BYTES = 9

Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="How many at most.")]
Cursor = Annotated[str, Meta(max_length=1_000, description="`next_cursor` of the page before.")]
Count = Annotated[int, Meta(ge=0, le=MAX_POSITION)]
"""A version or a position; 0 comes before the first."""


class AtVersion(Struct, frozen=True, array_like=True, tag=True):
    """A place in a list that is ordered by version."""

    version: Count


class AtPosition(Struct, frozen=True, array_like=True, tag=True):
    """A place in a list that is ordered by position."""

    position: Count


class AtSubscription(Struct, frozen=True, array_like=True, tag=True):
    """A place in a list that is ordered by subscription id."""

    subscription_id: UUID


class Page(Struct, Generic[T], frozen=True):
    """Some of a list; `next_cursor` is null on the last page."""

    data: Sequence[T]
    next_cursor: str | None


class Paging(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The query parameters of every list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None

    def place(self, kind: type[P], start: P) -> P:
        """Return where the page begins: at the cursor, or at the start. Raises Problem."""
        if self.cursor is None:
            return start
        try:
            text = base64.b64decode(self.cursor.encode("ascii"), altchars=b"-_", validate=True)
            if text[:_LIST_BYTES] != self._list:
                raise msgspec.DecodeError
            return msgspec.json.decode(text[_LIST_BYTES:], type=kind)
        except (binascii.Error, UnicodeError, msgspec.DecodeError):
            raise invalid("cursor", "is not the next_cursor of a page of this list, with these filters") from None

    @property
    def _list(self) -> bytes:
        """Tell this list from others: by its path and its filters."""
        filters = encode(replace(self, limit=LIMIT_DEFAULT, cursor=None))
        return sha256(CURRENT_PATH.get().encode() + b"\0" + filters).digest()[:_LIST_BYTES]

    @property
    def one_more(self) -> int:
        """The number of rows to read: one more than fit, to know whether there is a next page."""
        return self.limit + 1

    def page(self, rows: Sequence[T], place_of: Callable[[T], Any]) -> Page[T]:
        """Make the page of `one_more` rows; its cursor is the place of the last that fits."""
        data = rows[: self.limit]
        return Page(data, self._cursor(place_of(data[-1])) if len(rows) > self.limit else None)

    def part(self, rows: Sequence[T], place: Any) -> Page[T]:
        """Make a page of what was found up to a place; its cursor goes on from there."""
        return Page(rows, self._cursor(place))

    def _cursor(self, place: Any) -> str:
        return base64.urlsafe_b64encode(self._list + encode(place)).decode()
