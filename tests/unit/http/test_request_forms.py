"""Every route's body and query refuse what they do not know, and bound what they take."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.inspect import DictType, Field, ListType, Metadata, StrType, StructType, Type, UnionType

from services.http.routes import ROUTERS
from services.http.routing import signature_of, typed_routes


def request_structs() -> dict[str, type[msgspec.Struct]]:
    """Return the struct of each body and each query, by the route that takes it."""
    signatures = [(route.path, signature_of(route.handler)) for route in typed_routes(ROUTERS)]
    return {
        f"{path} {taken.model.__name__}": taken.model
        for path, signature in signatures
        for taken in (signature.body, signature.query)
        if taken is not None
    }


def structs_in(kind: Type) -> Iterator[StructType]:
    match kind:
        case Metadata(type=inner):
            yield from structs_in(inner)
        case UnionType(types=kinds):
            for each in kinds:
                yield from structs_in(each)
        case ListType(item_type=inner):
            yield from structs_in(inner)
        case DictType(value_type=inner):
            yield from structs_in(inner)
        case StructType(fields=fields):
            yield kind
            for field in fields:
                yield from structs_in(field.type)
        case _:
            pass


def unbounded(field: Field) -> bool:
    def is_unbounded(kind: Type) -> bool:
        match kind:
            case Metadata(type=inner):
                return is_unbounded(inner)
            case UnionType(types=kinds):
                return any(map(is_unbounded, kinds))
            case StrType(max_length=length, pattern=pattern):
                return length is None and pattern is None
            case ListType(item_type=inner, max_length=length):
                return length is None or is_unbounded(inner)
            case DictType(max_length=length):
                return length is None
            case _:
                return False

    return is_unbounded(field.type)


@pytest.mark.parametrize("model", request_structs().values(), ids=request_structs())
def test_unknown_fields_are_refused_at_every_depth(model: type[msgspec.Struct]) -> None:
    taking = [
        each.cls.__name__ for each in structs_in(msgspec.inspect.type_info(model)) if not each.forbid_unknown_fields
    ]

    assert taking == []


@pytest.mark.parametrize("model", request_structs().values(), ids=request_structs())
def test_texts_and_lists_are_bounded(model: type[msgspec.Struct]) -> None:
    fields: list[Any] = [field for each in structs_in(msgspec.inspect.type_info(model)) for field in each.fields]

    assert [field.encode_name for field in fields if unbounded(field)] == []


class Nested(msgspec.Struct):
    text: str


class Lax(msgspec.Struct, forbid_unknown_fields=True):
    texts: list[Nested]


def test_both_are_found_where_they_are_forgotten() -> None:
    outer, nested = structs_in(msgspec.inspect.type_info(Lax))

    assert (outer.forbid_unknown_fields, nested.forbid_unknown_fields) == (True, False)
    assert unbounded(outer.fields[0])
    assert unbounded(nested.fields[0])
