"""Makes routes of handlers, whose signatures are the one declaration.

A signature says who may call (`Reader`, `Charger`, …), what the route takes (`JsonBody`, `QueryOf`, `IfMatch`) and, by
its return type, what it answers with. FastAPI, the fast path and the documentation read the same signature.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial, wraps
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from fastapi import APIRouter
from fastapi.params import Depends, Security
from fastapi.routing import APIRoute
from msgspec import Struct
from starlette.responses import Response

from services.http.confinement import Confinement
from services.http.decoding import JsonBody, QueryOf
from services.http.exports import Accepted, FeedAccepted, PageAccepted, refuse_all_but_json
from services.http.parameters import expected_versions
from services.http.server.reply import Reply, json_reply
from services.http.whole_lists import item_of, whole_list
from services.postgres.database import read_again

Handler = Callable[..., Any]


class Signature(NamedTuple):
    """What a handler takes, and the type of the body that it answers with."""

    scope: str | None
    body: JsonBody[Any] | None
    query: QueryOf[Any] | None
    takes_if_match: bool
    content: Any
    confinement: Confinement | None
    """What it does for a confined key; None: what its path says."""


@cache
def signature_of(handler: Handler) -> Signature:
    """Read the signature of a handler, or of the endpoint that was made of it."""
    hints = get_type_hints(handler, include_extras=True)
    scope, body, query, takes_if_match, confinement = None, None, None, False, None
    markers = [each for hint in hints.values() for each in get_args(hint)[1:]]
    for marker in markers:
        if isinstance(marker, Confinement):
            confinement = marker
    for marker in (each for each in markers if isinstance(each, Depends)):
        match marker.dependency:
            case JsonBody() as dependency:
                body = dependency
            case QueryOf() as dependency:
                query = dependency
            case dependency if dependency is expected_versions:
                takes_if_match = True
            case _ if isinstance(marker, Security):
                (scope,) = marker.scopes or ()
            case _:
                pass
    return Signature(scope, body, query, takes_if_match, _content(hints["return"]), confinement)


def _content(returned: Any) -> Any:
    """Return the type in `Reply[type]`, or the type itself; of a union, that of its first member."""
    if get_origin(returned) in (Union, UnionType):
        return _content(get_args(returned)[0])
    return get_args(returned)[0] if get_origin(returned) is Reply else returned


def offers_json_alone(handler: Handler) -> bool:
    """Whether an operation for callers with a key has one form of answer, JSON."""
    signature = signature_of(handler)
    has_a_choice = any(
        hint in (Accepted, FeedAccepted, PageAccepted) for hint in get_type_hints(handler, include_extras=True).values()
    )
    content = get_origin(signature.content) or signature.content
    is_struct = isinstance(content, type) and issubclass(content, Struct)
    return signature.scope is not None and is_struct and not has_a_choice


class TypedRoute(APIRoute):
    """A route whose handler returns a `Reply`, or a struct that is sent as JSON with 200."""

    def __init__(self, path: str, endpoint: Handler, **options: Any) -> None:
        self.handler: Handler = inspect.unwrap(endpoint)
        is_read = {*options.get("methods", ())} == {"GET"}
        super().__init__(path, _endpoint(self.handler, is_read=is_read), **{**options, "response_model": None})


class HotRoute(TypedRoute):
    """A route that the fast path answers wherever it can, and FastAPI elsewhere, both by the same handler.

    The handler is a coroutine function. It takes the call, then the parameters of its path, the subscription id first,
    then the body if it has one; no query.
    """

    def __init__(self, path: str, endpoint: Handler, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        signature = signature_of(self.handler)
        assert signature.scope is not None
        assert signature.query is None
        assert inspect.iscoroutinefunction(self.handler)
        self.scope: str = signature.scope
        self.confinement = signature.confinement
        self.body = signature.body
        self.method = next(iter(self.methods or ()))


def typed_routes(routers: Iterable[APIRouter]) -> Iterator[TypedRoute]:
    """Yield the routes of the routers, in their order."""
    for route in (route for router in routers for route in router.routes):
        assert isinstance(route, TypedRoute), f"the router of {route} lacks its route_class"
        yield route


def _endpoint(handler: Handler, *, is_read: bool) -> Handler:
    """Make the endpoint that FastAPI calls: the handler, with a response made of what it returns.

    A read whose connection to the database is lost is done once more. A list in pages is a stream for a client that
    prefers one. Where nothing but JSON is offered, a client that takes none is refused before anything is done.
    """
    item = item_of(handler)
    is_json_alone = item is None and offers_json_alone(handler)
    if inspect.iscoroutinefunction(handler):

        @wraps(handler)
        async def endpoint(*arguments: Any, **named: Any) -> Response:
            if is_json_alone:
                refuse_all_but_json(named["call"].exchange)
            return _response(await handler(*arguments, **named))
    else:

        @wraps(handler)
        def endpoint(*arguments: Any, **named: Any) -> Response:
            if is_json_alone:
                refuse_all_but_json(named["call"].exchange)
            call = partial(handler, *arguments, **named)
            if item is not None and (stream := _stream(handler, item, named)) is not None:
                return stream
            return _response(read_again(call) if is_read else call())

    return endpoint


def _stream(handler: Handler, item: type[Struct], named: dict[str, Any]) -> Response | None:
    """Stream the list of a handler whose arguments are `call` and `query`, among others; None for pages of JSON."""

    def page_of(query: Any) -> Any:
        return read_again(partial(handler, **{**named, "query": query}))

    return whole_list(named["call"].exchange, item, named["query"], page_of)


def _response(returned: Any) -> Response:
    if isinstance(returned, Response):
        return returned
    return (returned if isinstance(returned, Reply) else json_reply(returned)).response()
