"""Decodes bodies and queries to structs, and names the field that is at fault."""

import re
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct, ValidationError, structs
from starlette.requests import Request

from services.http.instants import read_instant
from services.http.problems import MalformedRequest, Problem, invalid
from services.http.repeated_keys import RepeatedKey, refuse_repeated_keys
from services.http.server.exchange import BODY_LIMIT_BYTES, Exchange, exchange_of
from services.http.server.limits import PACE_OF_LARGE_REFUSALS, Pace
from services.subscription.refusals import InvalidSettingsRefused

T = TypeVar("T", bound=Struct)

_WHERE = re.compile(r"(?P<what>.*) - at `(?P<path>[^`]*)`", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_BOOLEANS = {"true": True, "false": False}
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
_SHOWN_CHARACTERS = 80
_LARGE_REFUSALS = Pace(PACE_OF_LARGE_REFUSALS)


class JsonBody(Generic[T]):
    """A FastAPI dependency that decodes the body to a struct.

    Where it `may_be_empty`, no body stands for `{}`; where a field is required, it is named like any that is missing.
    """

    def __init__(self, model: type[T], *, limit_bytes: int = BODY_LIMIT_BYTES, may_be_empty: bool = False) -> None:
        self.model = model
        self.may_be_empty = may_be_empty
        self.limit_bytes = limit_bytes
        self._decoder = msgspec.json.Decoder(model, dec_hook=read_instant)

    @property
    def is_required(self) -> bool:
        """Whether no request can do without a body."""
        return not self.may_be_empty or any(field.required for field in structs.fields(self.model))

    async def __call__(self, request: Request) -> T:
        return await self.of(exchange_of(request.scope))

    async def of(self, exchange: Exchange) -> T:
        """Decode the body of a request. Raises Problem; a large one that is refused takes a turn first."""
        body = await exchange.body(self.limit_bytes)
        try:
            return self.decode(b"{}" if self.may_be_empty and not body else body)
        except Problem:
            if len(body) > BODY_LIMIT_BYTES:
                await _LARGE_REFUSALS.wait()
            raise

    def decode(self, body: bytes) -> T:
        """Decode JSON. Raises Problem."""
        decoded = self.read(body)
        try:
            refuse_repeated_keys(body, decoded)
        except RepeatedKey as error:
            raise repeated(str(error)) from None
        return decoded

    def read(self, body: bytes) -> T:
        """Decode JSON, whose keys may be there twice; of two the last counts. Raises Problem."""
        try:
            return self._decoder.decode(body)
        except ValidationError as error:
            raise problem_with(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(MalformedRequest(str(error))) from None


class QueryOf(Generic[T]):
    """A FastAPI dependency that decodes the query to a struct. A parameter comes once at most, and none is unknown."""

    def __init__(self, model: type[T]) -> None:
        self.model = model
        fields = msgspec.inspect.type_info(model).fields  # type: ignore[attr-defined] # of a struct's info
        self._whole_numbers = {each.encode_name for each in fields if _takes(msgspec.inspect.IntType, each.type)}
        self._booleans = {each.encode_name for each in fields if _takes(msgspec.inspect.BoolType, each.type)}

    def __call__(self, request: Request) -> T:
        return self.read(request.query_params.multi_items())

    def read(self, parameters: list[tuple[str, str]]) -> T:
        """Decode the parameters, as names and texts. Raises Problem."""
        read: dict[str, Any] = {}
        for name, text in parameters:
            if name in read:
                raise repeated(name)
            if name in self._whole_numbers and _WHOLE_NUMBER.fullmatch(text):
                read[name] = int(text)
            else:
                read[name] = _BOOLEANS.get(text, text) if name in self._booleans else text
        try:
            return msgspec.convert(read, self.model, dec_hook=read_instant)
        except ValidationError as error:
            raise problem_with(error) from None


def refuse_query(exchange: Exchange) -> None:
    """Raise Problem for a request with query parameters, naming the first of them."""
    if exchange.query:
        name, _ = (parse_qsl(exchange.query.decode("latin-1"), keep_blank_values=True) or [("", "")])[0]
        raise invalid(name[:_SHOWN_CHARACTERS], "is not known here")


def repeated(name: str) -> Problem:
    """Make the problem for a key or a parameter that is given more than once."""
    return invalid(name[:_SHOWN_CHARACTERS], "is given more than once")


def problem_with(error: ValidationError) -> Problem:
    """Make the problem that names the field at fault."""
    match = _WHERE.fullmatch(str(error))
    what, path = (match["what"], match["path"]) if match else (str(error), "$")
    if unknown := _UNKNOWN_FIELD.fullmatch(what):
        name = unknown["name"][:_SHOWN_CHARACTERS]
        if path.endswith("settings"):
            return Problem(InvalidSettingsRefused(name, "is not a setting of any model"))
        return invalid(_field(path, name), "is not known here")
    if missing := _MISSING_FIELD.fullmatch(what):
        return invalid(_field(path, missing["name"]), "is required")
    return invalid(_field(path), what.replace("`", "").replace(" | null", "").replace("\\Z", "$"))


def _field(path: str, name: str = "") -> str:
    """Turn `$.settings.count` into `settings.count`; the whole body or query stays `$`."""
    below = ".".join(part for part in (path.removeprefix("$").removeprefix("."), name) if part)
    return below or "$"


def _takes(wanted: type[msgspec.inspect.Type], kind: msgspec.inspect.Type) -> bool:
    match kind:
        case msgspec.inspect.Metadata(type=described):
            return _takes(wanted, described)
        case msgspec.inspect.UnionType(types=members):
            return any(_takes(wanted, member) for member in members)
        case _:
            return isinstance(kind, wanted)
