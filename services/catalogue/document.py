"""Reads a TOML text as the tables of its form, or names the line and the reason why it is not of the form."""

import re
import tomllib
from datetime import date, datetime, time
from typing import Any, get_type_hints

from msgspec import ValidationError, convert, inspect

from services.catalogue.form import CatalogueTable, exact
from services.catalogue.toml_lines import Path, line_of

_SYNTAX_ERROR = re.compile(r"(?P<reason>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", re.DOTALL)
# As msgspec writes it: "Expected `int` >= 1 - at `$.plans[0].tier`". It does not name the key of a dict.
_MISFIT = re.compile(
    r"(?P<error>.*?)(?: - at `(?P<is_key>key` in `)?\$(?P<path>.*?)(?P<is_entry>\[\.\.\.\])?`)?", re.DOTALL
)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_SHOWN_CHARACTERS_MAX = 60


class CatalogueError(Exception):
    """The catalogue is not valid.

    Its text is `source:line: reason`; the three are attributes too.
    """

    def __init__(self, source: str, line: int, reason: str) -> None:
        super().__init__(source, line, reason)
        self.source = source
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.reason}"


def parse(text: str, source: str) -> CatalogueTable:
    """Parse the TOML of a catalogue. Raises CatalogueError where it is not TOML, or not of the form."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        last_line = text.rstrip("\n").count("\n") + 1
        syntax = _SYNTAX_ERROR.fullmatch(str(error))
        if syntax is None:  # such as an integer of more digits than Python reads
            raise CatalogueError(source, 1, f"not TOML: {error}") from error
        raise CatalogueError(source, int(syntax["line"] or last_line), f"not TOML: {syntax['reason']}") from error
    try:
        return convert(values, CatalogueTable, builtin_types=(datetime, date, time), dec_hook=exact)
    except ValidationError as error:
        path, reason = _explain(str(error), values)
        raise CatalogueError(source, line_of(text, path), reason) from error


def _explain(error: str, value: Any) -> tuple[Path, str]:
    """Translate an error of msgspec: its path in the document, and the reason in the words of the form."""
    misfit = _MISFIT.fullmatch(error)
    assert misfit is not None, "the pattern matches any text"
    kind = owner = inspect.type_info(CatalogueTable)
    path: Path = ()
    subject = ""
    for key, index in _STEP.findall(misfit["path"] or ""):
        step = key or int(index)
        path, subject = (*path, step), key or f"each of {subject}"
        owner = _member(kind, value)
        kind, value = _part(owner, step), value[step]
    if misfit["is_key"] or misfit["is_entry"]:
        name = _misfit_key(owner, subject, value)
        path = (*path, name)
        assert isinstance(kind, inspect.DictType)
        if misfit["is_key"]:
            return path, f"each key of {subject} must be {_words(kind.key_type)}, not {_in_toml(name)}"
        subject, kind, value = name, kind.value_type, value[name]
    if missing := _MISSING.fullmatch(misfit["error"]):
        return path, f"missing key {_in_toml(missing[1])}"
    if unknown := _UNKNOWN.fullmatch(misfit["error"]):
        known = ", ".join(_keys(_member(kind, value)))
        return (*path, unknown[1]), f"unknown key {_in_toml(unknown[1])}, expected one of: {known}"
    return path, f"{subject} must be {_words(kind)}, not {_in_toml(value)}"


def _misfit_key(owner: inspect.Type, field: str, entries: dict[str, object]) -> str:
    """Find the key of the first entry of a dict that does not fit its type, which msgspec does not name."""
    assert isinstance(owner, inspect.StructType)
    kind = get_type_hints(owner.cls, include_extras=True)[field]
    for key, value in entries.items():
        try:
            convert({key: value}, kind, dec_hook=exact)
        except ValidationError:
            return key
    raise AssertionError(f"every entry of {field} fits")


def _member(kind: inspect.Type, value: Any) -> inspect.Type:
    """Return the type without its description; of a union of tables, the one whose tag the value has."""
    if isinstance(kind, inspect.Metadata):
        return _member(kind.type, value)
    if not isinstance(kind, inspect.UnionType):
        return kind
    tables = [each for each in kind.types if isinstance(each, inspect.StructType)]
    return next((each for each in tables if each.tag_field is None or value.get(each.tag_field) == each.tag), kind)


def _part(owner: inspect.Type, step: str | int) -> inspect.Type:
    match owner:
        case inspect.StructType():
            return next(each.type for each in owner.fields if each.encode_name == step)
        case inspect.CollectionType():
            return owner.item_type
        case inspect.UnionType():
            tags = [str(each.tag) for each in owner.types if isinstance(each, inspect.StructType)]
            return inspect.Metadata(owner, {"description": f"one of {', '.join(tags)}"})
        case _:
            raise AssertionError(f"nothing is in {owner}")


def _keys(table: inspect.Type) -> list[str]:
    assert isinstance(table, inspect.StructType)
    return [key for key in (table.tag_field, *(each.encode_name for each in table.fields)) if key is not None]


def _words(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):  # with None, for a key that may be left out
        kind = kind.types[0]
    description = (kind.extra_json_schema or {}).get("description") if isinstance(kind, inspect.Metadata) else None
    return description or "a table"


def _in_toml(value: object) -> str:
    """Write the value as TOML does, shortened, for a message."""
    match value:
        case bool():
            shown = str(value).lower()
        case str():
            shown = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        case dict():
            shown = "a table"
        case list():
            shown = "an array" if value else "an empty array"
        case int() if value.bit_length() > 64:  # Python may refuse to print it
            shown = "so large a number"
        case datetime() | date() | time():
            shown = value.isoformat()
        case _:
            shown = str(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS_MAX else shown[:_SHOWN_CHARACTERS_MAX] + "…"
