"""A TOML document whose values are checked where they are read, and whose errors name the line."""

import re
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import NoReturn, TypeGuard, TypeVar

from services.catalogue.pricing import DECIMAL_PLACES_MAX, plain
from services.catalogue.toml_lines import Path, line_of

_SYNTAX_ERROR = re.compile(r"(?P<reason>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", re.DOTALL)
_DECIMAL = re.compile(rf"[0-9]{{1,18}}(?:\.[0-9]{{1,{DECIMAL_PLACES_MAX}}})?")
_SHOWN_CHARACTERS_MAX = 60

Choice = TypeVar("Choice", bound=str)


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


class Table:
    """One table of the document. Each method reads a key, or raises `CatalogueError`, naming its line."""

    def __init__(self, values: dict[str, object], path: Path, text: str, source: str) -> None:
        self._values = values
        self._path = path
        self._text = text
        self._source = source

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are there, in the document's order."""
        return tuple(self._values)

    def only(self, *known: str) -> None:
        """Refuse every key but these."""
        for key in self._values:
            if key not in known:
                self.refuse(key, f"unknown key {_shown(key)}, expected one of: {', '.join(known)}")

    def text(self, key: str, pattern: re.Pattern[str], form: str) -> str:
        """A string that the whole pattern matches; `form` says so in words."""
        value = self._value(key)
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            self._not(key, form)
        return value

    def choice(self, key: str, choices: Sequence[Choice]) -> Choice:
        """One of these strings."""
        value = self._value(key)
        choice = _chosen(value, choices)
        if choice is None:
            self._not(key, f"one of {', '.join(choices)}")
        return choice

    def choices(self, key: str, choices: Sequence[Choice]) -> tuple[Choice, ...]:
        """An array of these strings, at least one, none twice."""
        values = self._value(key)
        if not isinstance(values, list) or not values:
            self._not(key, f"an array of at least one of {', '.join(choices)}")
        chosen: list[Choice] = []
        for number, value in enumerate(values):
            element = (*self._path, key, number)
            choice = _chosen(value, choices)
            if choice is None:
                self._raise(element, f"{key} may hold {', '.join(choices)}, not {_shown(value)}")
            if choice in chosen:
                self._raise(element, f"{key} holds {_shown(value)} twice")
            chosen.append(choice)
        return tuple(chosen)

    def whole(self, key: str, most: int) -> int:
        """A whole number from 1 to `most`."""
        value = self._value(key)
        if not _is_whole(value) or not 1 <= value <= most:
            self._not(key, f"a whole number from 1 to {most:,}")
        return value

    def decimal(self, key: str, most: int) -> Decimal:
        """An exact number above 0 and at most `most`: a whole number, or a string of decimal digits."""
        value = self._value(key)
        if isinstance(value, float):
            self._not(key, 'exact: a whole number or a string such as "0.5"')
        number = Decimal(value) if _is_whole(value) or _is_decimal(value) else None
        if number is None or not 0 < number <= most:
            self._not(key, f"a whole number or a decimal string, above 0 and at most {most:,}")
        return plain(number)

    def instant(self, key: str) -> datetime:
        """A date and time with an offset, in UTC."""
        value = self._value(key)
        if not isinstance(value, datetime) or value.tzinfo is None:
            self._not(key, "a date and time with an offset, such as 2020-01-01T00:00:00Z")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            self._not(key, "in the years 1 to 9999 of UTC")

    def table(self, key: str) -> "Table":
        """A table."""
        value = self._value(key)
        if not isinstance(value, dict):
            self._not(key, "a table")
        return self._inner(value, key)

    def tables(self, key: str) -> list["Table"]:
        """An array of tables, at least one."""
        values = self._value(key)
        if not isinstance(values, list) or not values:
            self._not(key, "an array of at least one table")
        tables: list[Table] = []
        for number, value in enumerate(values):
            if not isinstance(value, dict):
                self._raise((*self._path, key, number), f"{key} must hold tables, not {_shown(value)}")
            tables.append(self._inner(value, key, number))
        return tables

    def refuse(self, key: str, reason: str) -> NoReturn:
        """Raise for what this key holds."""
        self._raise((*self._path, key), reason)

    def refuse_whole(self, reason: str) -> NoReturn:
        """Raise for the table itself."""
        self._raise(self._path, reason)

    def _value(self, key: str) -> object:
        if key not in self._values:
            self.refuse_whole(f"missing key {_shown(key)}")
        return self._values[key]

    def _inner(self, values: dict[str, object], *steps: str | int) -> "Table":
        return Table(values, (*self._path, *steps), self._text, self._source)

    def _not(self, key: str, form: str) -> NoReturn:
        self.refuse(key, f"{key} must be {form}, not {_shown(self._values[key])}")

    def _raise(self, path: Path, reason: str) -> NoReturn:
        raise CatalogueError(self._source, line_of(self._text, path), reason)


def parse(text: str, source: str) -> Table:
    """The document's root table, or `CatalogueError` with the line at which the text stops being TOML."""
    try:
        return Table(tomllib.loads(text), (), text, source)
    except (ValueError, RecursionError) as error:
        last_line = text.rstrip("\n").count("\n") + 1
        syntax = _SYNTAX_ERROR.fullmatch(str(error))
        if syntax is None:  # such as an integer of more digits than Python reads
            raise CatalogueError(source, 1, f"not TOML: {error}") from error
        line = int(syntax["line"] or last_line)
        raise CatalogueError(source, line, f"not TOML: {syntax['reason']}") from error


def _chosen(value: object, choices: Sequence[Choice]) -> Choice | None:
    return next((choice for choice in choices if choice == value), None)


def _shown(value: object) -> str:
    """The value as TOML writes it, shortened, for a message."""
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


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_decimal(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _DECIMAL.fullmatch(value) is not None
