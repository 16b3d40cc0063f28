"""Finds the line of a key in a TOML text, so that an error can name it.

`tomllib` keeps no positions. This scans a text that `tomllib` has accepted, and notes the line of
each key, table and array element; it makes no values and finds no errors.
"""

import re
import tomllib

Path = tuple[str | int, ...]
"""The path to a value: `("plans", 1, "tier")` is the key `tier` of the second `[[plans]]`."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]*")
_DOT = re.compile(r"[ \t]*\.[ \t]*")


def line_of(text: str, path: Path) -> int:
    """Return the line, from 1, of the key or table at the path, or else of the nearest table around it."""
    lines = _Scan(text).lines
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scan:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._elements: dict[Path, int] = {}  # elements so far of each array of tables
        self._document()

    def _document(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._peek("["):
                table = self._header()
            else:
                self._key_and_value(table)
            self._skip(_BLANK)

    def _header(self) -> Path:
        line = self._line()
        is_element = self._peek("[[")
        self._at += 2 if is_element else 1
        *parents, last = self._key()
        self._at = self._text.index("]", self._at) + (2 if is_element else 1)
        table = (*self._resolved(parents, line), last)
        if is_element:
            self.lines.setdefault(table, line)
            number = self._elements.get(table, 0)
            self._elements[table] = number + 1
            table = (*table, number)
        self.lines.setdefault(table, line)
        return table

    def _resolved(self, keys: list[str], line: int) -> Path:
        """Resolve the tables that a header names: an array of tables stands for its latest element."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            self.lines.setdefault(path, line)
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
        return path

    def _key_and_value(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._key():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._at = self._text.index("=", self._at) + 1
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline_table(path)
        elif not self._skip(_STRING):
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        number = 0
        while not self._peek("]"):
            self.lines[(*path, number)] = self._line()
            self._value((*path, number))
            self._skip_comma()
            number += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        while not self._peek("}"):
            self._key_and_value(path)
            self._skip_comma()
        self._at += 1

    def _skip_comma(self) -> None:
        self._skip(_BLANK)
        if self._peek(","):
            self._at += 1
            self._skip(_BLANK)

    def _key(self) -> list[str]:
        self._skip(_BLANK)
        keys = [self._simple_key()]
        while self._skip(_DOT):
            keys.append(self._simple_key())
        return keys

    def _simple_key(self) -> str:
        quoted = self._skip(_STRING)
        if quoted:
            return str(tomllib.loads(f"key = {quoted}")["key"])
        return self._skip(_BARE_KEY)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        """Move past what the pattern matches here, and return it; empty where it does not match."""
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _peek(self, token: str) -> bool:
        return self._text.startswith(token, self._at)

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1
