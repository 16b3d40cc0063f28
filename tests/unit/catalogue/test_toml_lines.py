"""The lines of keys, tables and elements, in every notation that TOML has."""

import tomllib

import pytest

from services.catalogue.toml_lines import Path, line_of

DOCUMENT = (
    r"""# A comment with = and [brackets]
top = 1
"quoted \"key\"" = 2
'literal.key' = 3
dotted . "inner" . leaf = 4
text = "a # is no comment, nor is ] or \" an end"
lines = '''
[not_a_table]
key = 1
'''
more = "\""
even_more = """
    + r'''"""
[[nor_this]] \"""
ends with quotes"""""
after = 5
[table.'sub table'] # [[comment]]
key = [ 1, [ 2,
  3 ], # , 4
  { a = "}", b = [
    { c = 1 }, ] },
]
[[array]]
key = 1
[[array]]
key = 2
[array.inner]
key = 3
[[array.nested]]
key = 4

  [[array.nested]]
  key = 1979-05-27 07:32:00Z
empty = ""
last = 'x\''''
    + "\n"
)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (('quoted "key"',), 3),
        (("literal.key",), 4),
        (("dotted",), 5),
        (("dotted", "inner", "leaf"), 5),
        (("text",), 6),
        (("lines",), 7),
        (("more",), 11),
        (("even_more",), 12),
        (("after",), 15),
        (("table",), 16),
        (("table", "sub table"), 16),
        (("table", "sub table", "key"), 17),
        (("table", "sub table", "key", 0), 17),
        (("table", "sub table", "key", 1), 17),
        (("table", "sub table", "key", 1, 1), 18),
        (("table", "sub table", "key", 2), 19),
        (("table", "sub table", "key", 2, "a"), 19),
        (("table", "sub table", "key", 2, "b"), 19),
        (("table", "sub table", "key", 2, "b", 0, "c"), 20),
        (("array",), 22),
        (("array", 0), 22),
        (("array", 0, "key"), 23),
        (("array", 1), 24),
        (("array", 1, "key"), 25),
        (("array", 1, "inner"), 26),
        (("array", 1, "inner", "key"), 27),
        (("array", 1, "nested", 0), 28),
        (("array", 1, "nested", 0, "key"), 29),
        (("array", 1, "nested", 1), 31),
        (("array", 1, "nested", 1, "key"), 32),
        (("array", 1, "nested", 1, "empty"), 33),
        (("array", 1, "nested", 1, "last"), 34),
    ],
)
def test_a_path_has_a_line(path: Path, line: int) -> None:
    assert line_of(DOCUMENT, path) == line
    assert line_of(DOCUMENT.replace("\n", "\r\n"), path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("absent",), 1),
        ((), 1),
        (("array", 1, "absent"), 24),
        (("array", 1, "inner", "absent", 3), 26),
        (("table", "sub table", "key", 9), 17),
    ],
)
def test_what_is_not_there_has_the_line_of_what_is_around_it(path: Path, line: int) -> None:
    assert line_of(DOCUMENT, path) == line


def test_every_key_is_on_its_line() -> None:
    lines = DOCUMENT.splitlines()
    for path in paths(tomllib.loads(DOCUMENT), ()):
        key = path[-1]
        if isinstance(key, str):
            assert key.replace('"', r"\"") in lines[line_of(DOCUMENT, path) - 1], path


def paths(value: object, path: Path) -> list[Path]:
    match value:
        case dict():
            inner = [each for key, item in value.items() for each in paths(item, (*path, key))]
        case list():
            inner = [each for number, item in enumerate(value) for each in paths(item, (*path, number))]
        case _:
            inner = []
    return [path, *inner] if path else inner
