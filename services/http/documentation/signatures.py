"""What a route's signature says of what it takes."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, get_args, get_type_hints

from fastapi.params import Depends

from services.http.decoding import QueryOf


def markers(endpoint: Callable[..., Any]) -> Iterator[Depends]:
    """The dependencies in the annotations of an endpoint's parameters."""
    for name, hint in get_type_hints(endpoint, include_extras=True).items():
        if name != "return":
            yield from (each for each in get_args(hint)[1:] if isinstance(each, Depends))


@cache
def takes_query(endpoint: Callable[..., Any]) -> bool:
    """Whether an endpoint knows any query parameters."""
    return any(isinstance(marker.dependency, QueryOf) for marker in markers(endpoint))
