"""Makes the OpenAPI document of the routes, from their signatures and their documentation.

Schemas come from the structs that are decoded and encoded, so nothing has to be kept in step by hand.
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import APIRouter

from services.http.documentation.examples import PATH_PARAMETERS, problem_example
from services.http.documentation.operations import Shown, documentation_of
from services.http.exports import EVENT_STREAM
from services.http.problems import (
    STATUS,
    FieldError,
    InternalError,
    InvalidRequest,
    KeyConfined,
    MalformedRequest,
    MissingScope,
    NotAcceptable,
    RateLimited,
    RefusedOn,
    RequestTooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedEncoding,
    problem_body,
)
from services.http.routing import TypedRoute, offers_json_alone, signature_of, typed_routes
from services.http.server.reply import encode
from services.http.whole_lists import item_of, shown_as_streams
from services.idempotency import IdempotencyKeyReused
from services.ledger.records import STATE_REFUSALS
from services.subscription.refusals import InvalidSettingsRefused, Refusal

_REFERENCE = "#/components/schemas/{name}"
_VIEW = re.compile(rb'(?<=\w)View(?=[_\]]?")')
"""In the name of a schema, what tells a view from the state that it shows: clients see views only."""
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_EXAMPLE_REQUEST_ID = "8rVbW2mJ4kQ1xZpN"

_HEADERS = {
    "Request-Id": "The request's own `Request-Id`, if it had one of 1 to 64 of `A-Za-z0-9._:-`, or a new one.",
    "ETag": "The version of the subscription, in quotes; for `If-Match`.",
    "Location": "The path of what was made.",
    "Content-Disposition": "A name for the file.",
    "Idempotent-Replayed": "`true` where this was answered before and nothing was done again.",
}
_DESCRIPTION = """The ledger of the AI credits of subscriptions.

Bodies are JSON, and no object has a key twice. Instants are UTC with microseconds (RFC 3339; further digits in a
request are cut off), credits are whole numbers. Errors are problems (RFC 9457) with a stable `code`. Lists come in
pages: send `next_cursor` back as `cursor`.

In an answer, an optional field is left out where it has no value. `null` stands only where a field is always there,
and says that there is nothing: no renewal (`credits_renew_at`), no change (`scheduled_change`), no further page
(`next_cursor`).

Any `POST` may carry an `Idempotency-Key`, which belongs to its first request from then on: the same path and body
again get the answer of the first success, another request is refused. A refusal is not kept: the same request succeeds
once it can. Charges, holds, captures, releases and batches need no key, since each is done once for its
`generation_id`: there a key guards the body alone, so that one key may come with the captures of several holds."""


def openapi_document(routers: Sequence[APIRouter]) -> bytes:
    """Make the document of all routes of the routers, as JSON."""
    operations = [_Operation(route) for route in typed_routes(routers)]
    schemas = _Schemas(
        (kind for operation in operations for kind in operation.kinds()),
        bodies=[body for operation in operations if (body := operation.body) is not None],
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for method in operation.route.methods or ():
            paths.setdefault(operation.route.path_format, {})[method.lower()] = operation.document(schemas)
    return encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Tallystick", "version": version("tallystick"), "description": _DESCRIPTION},
            "paths": paths,
            "components": {
                "schemas": schemas.components,
                "headers": {name: _header(text) for name, text in _HEADERS.items()},
                "securitySchemes": {
                    "key": {"type": "http", "scheme": "bearer", "bearerFormat": "tsk_<id>_<secret><checksum>"}
                },
            },
        }
    )


class _Operation:
    """One route, by its signature and its documentation."""

    def __init__(self, route: TypedRoute) -> None:
        self.route = route
        self._signature = signature_of(route.handler)
        self._documentation = documentation_of(route.openapi_extra)

    def kinds(self) -> Iterator[Any]:
        """Yield every type that the operation decodes or encodes."""
        yield self._signature.content
        yield from self._refusals()
        yield from self._documentation.missing
        if self.body is not None:
            yield self.body

    @property
    def body(self) -> Any:
        """The type of the body that the operation decodes; None where it takes none."""
        return None if self._signature.body is None else self._signature.body.model

    def document(self, schemas: "_Schemas") -> dict[str, Any]:
        """Make the operation object."""
        text = inspect.cleandoc(self.route.handler.__doc__ or "")
        document: dict[str, Any] = {
            "operationId": self.route.handler.__name__,
            "summary": text.split("\n")[0].rstrip("."),
            "description": text,
            "tags": self.route.tags[-1:],
            "parameters": list(self._parameters()),
            "responses": {str(status): each for status, each in sorted(self._responses(schemas).items())},
        }
        if self._signature.scope is not None:
            document["security"] = [{"key": [self._signature.scope]}]
        if (body := self._signature.body) is not None:
            content = {"schema": schemas[body.model], "example": _plain(self._documentation.request)}
            document["requestBody"] = {
                "required": body.is_required,
                "content": {"application/json": content},
            }
        return document

    @property
    def _is_of_subscription(self) -> bool:
        return "{subscription_id}" in self.route.path

    def _refusals(self) -> list[type[Refusal]]:
        """List the refusals of the route, those included that come with what it takes."""
        scope, body, query, takes_if_match, _, confinement = self._signature
        return [
            *((Unauthenticated, MissingScope, RateLimited, Unavailable, InternalError) if scope else ()),
            *((KeyConfined,) if scope and confinement is None and not self._is_of_subscription else ()),
            *((MalformedRequest, RequestTooLarge, UnsupportedEncoding) if body is not None else ()),
            *((NotAcceptable,) if self._chooses_the_form else ()),
            *((InvalidRequest,) if scope or body or query or takes_if_match else ()),
            *((IdempotencyKeyReused,) if self._takes_idempotency_key else ()),
            *self._documentation.refusals,
        ]

    def _streams(self, shown: Shown) -> Mapping[str, str]:
        """Return what an answer is as a stream, by media type; nothing for one that is none."""
        is_list = item_of(self.route.handler) is not None
        return shown.streams or (shown_as_streams(shown.example) if is_list else {})

    @property
    def _chooses_the_form(self) -> bool:
        streams = any(self._streams(shown) for shown in self._documentation.answers.values())
        return streams or offers_json_alone(self.route.handler)

    @property
    def _takes_idempotency_key(self) -> bool:
        return "POST" in (self.route.methods or ())

    def _parameters(self) -> Iterator[dict[str, Any]]:
        for name in _PATH_PARAMETER.findall(self.route.path_format):
            yield {"name": name, "in": "path", "required": True, **PATH_PARAMETERS[name]}
        if (query := self._signature.query) is not None:
            yield from _query_parameters(query.model)
        if self._signature.takes_if_match:
            yield _header_parameter(
                "If-Match", "Only if the subscription still has this version, or one of these.", '"3"'
            )
        if any(EVENT_STREAM in shown.streams for shown in self._documentation.answers.values()):
            yield _header_parameter("Last-Event-ID", "Follow behind this event.", "1874")
        if self._takes_idempotency_key:
            yield _header_parameter("Idempotency-Key", "Of your choice; makes a retry safe.", "order-7c1e")

    def _responses(self, schemas: "_Schemas") -> dict[int, Any]:
        schema = schemas[self._signature.content]
        answers = self._documentation.answers.items()
        responses = {status: _answer(status, shown, schema, self._streams(shown)) for status, shown in answers}
        by_status: dict[int, list[type[Refusal]]] = {}
        for refusal in self._refusals():
            by_status.setdefault(STATUS[refusal.code], []).append(refusal)
        for refusal in self._documentation.missing:
            by_status.setdefault(404, []).append(refusal)
        for status, refusals in by_status.items():
            responses[status] = _problem(status, refusals, schemas)
        return responses


class _Schemas:
    """The schemas of many types: each in full under its name, and a reference to it."""

    def __init__(self, kinds: Iterable[Any], bodies: Sequence[Any]) -> None:
        unique = list(dict.fromkeys([*kinds, FieldError]))
        _, sent_by_clients = msgspec.json.schema_components(bodies, ref_template=_REFERENCE)
        named = msgspec.json.schema_components(unique, ref_template=_REFERENCE)
        references, components = msgspec.json.decode(_VIEW.sub(b"", msgspec.json.encode(named)))
        self._references: dict[Any, dict[str, Any]] = dict(zip(unique, references, strict=True))
        self.components = {
            name: _as_sent(name, schema if name in sent_by_clients else _without_optional_nulls(schema))
            for name, schema in sorted(components.items())
        }
        for kind in unique:
            if isinstance(kind, type) and issubclass(kind, Refusal):
                self.components[kind.__name__] = _problem_schema(kind, self.components[kind.__name__])

    def __getitem__(self, kind: Any) -> dict[str, Any]:
        """Return the reference to a type's schema, or its schema where it has no name."""
        return self._references[kind]


def _without_optional_nulls(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an answer, whose optional fields are left out where they have no value, and never null."""
    if (properties := schema.get("properties")) is None:
        return schema
    optional = {name: each for name, each in properties.items() if each.get("default", ...) is None}
    return {**schema, "properties": {**properties, **{name: _not_null(each) for name, each in optional.items()}}}


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    others = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return {**kinds[0], **others} if len(kinds) == 1 else {**others, "anyOf": kinds}


def _as_sent(name: str, schema: Any) -> Any:
    """Return the schema of what is sent: decimals are numbers, but for amounts of money, which are text."""
    match schema:
        case {"format": "decimal", **_others} if name != "Money":
            return {"type": "number"}
        case {"pattern": str(pattern), **_others}:
            return {**schema, "pattern": pattern.replace("\\Z", "$")}
        case dict():
            return {key: _as_sent(name, value) for key, value in schema.items() if not _is_hidden(key, value)}
        case list():
            return [_as_sent(name, value) for value in schema]
        case _:
            return schema


def _is_hidden(key: str, value: Any) -> bool:
    return key == "default" and value in (None, {})


def _problem_schema(refusal: type[Refusal], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of the problem that a refusal becomes: the members of all problems, and its own."""
    text, number = {"type": "string"}, {"type": "integer"}
    properties: dict[str, Any] = {
        "type": text,
        "title": text,
        "status": number,
        "code": {"const": refusal.code},
        "detail": text,
        "request_id": text,
        **fields.get("properties", {}),
    }
    if issubclass(refusal, STATE_REFUSALS):
        properties |= dict.fromkeys(RefusedOn.__struct_fields__, number)
    if issubclass(refusal, InvalidSettingsRefused):
        properties["errors"] = {"type": "array", "items": {"$ref": _REFERENCE.format(name="FieldError")}}
    return {
        "title": refusal.__name__,
        "description": refusal.__doc__,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _answer(status: int, shown: Shown, schema: dict[str, Any], shown_streams: Mapping[str, str]) -> dict[str, Any]:
    content = {"schema": schema, "example": _plain(shown.example)}
    streams = {form: {"schema": {"type": "string"}, "example": text} for form, text in shown_streams.items()}
    return {
        "description": "Done.",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in ("Request-Id", *shown.headers)},
        **({} if status == HTTPStatus.NO_CONTENT else {"content": {shown.media_type: content, **streams}}),
    }


def _problem(status: int, refusals: Sequence[type[Refusal]], schemas: _Schemas) -> dict[str, Any]:
    examples = {refusal.code: {"value": _plain(_problem_example(refusal, status))} for refusal in refusals}
    return {
        "description": " ".join(f"`{refusal.code}`: {refusal.__doc__}" for refusal in refusals),
        "headers": {"Request-Id": {"$ref": "#/components/headers/Request-Id"}},
        "content": {
            "application/problem+json": {
                "schema": {"anyOf": [schemas[refusal] for refusal in refusals]},
                "examples": examples,
            }
        },
    }


def _problem_example(refusal: type[Refusal], status: int) -> dict[str, Any]:
    refused_on = RefusedOn(7, 1_874, 250) if issubclass(refusal, STATE_REFUSALS) else None
    return problem_body(problem_example(refusal), status, _EXAMPLE_REQUEST_ID, refused_on)


def _query_parameters(model: type) -> Iterator[dict[str, Any]]:
    _, components = msgspec.json.schema_components([model], ref_template=_REFERENCE)
    schema = _as_sent(model.__name__, components[model.__name__])
    for name, each in schema["properties"].items():
        options: list[dict[str, Any]] = each.pop("anyOf", [])
        kind = next((option for option in options if option != {"type": "null"}), {})
        shown = {**kind, **each}
        description = {"description": shown["description"]} if "description" in shown else {}
        yield {
            "name": name,
            "in": "query",
            "required": name in schema["required"],
            "schema": shown,
            **description,
        }


def _header_parameter(name: str, description: str, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _plain(example: Any) -> Any:
    """Encode the example as plain JSON."""
    return msgspec.Raw(encode(example)) if not isinstance(example, str) else example
