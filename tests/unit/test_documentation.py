"""The documents name what exists: settings, links, make targets, commands, files, functions and tests."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from services.cli.program import COMMANDS, program
from services.config import Settings

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs/reference/configuration.md").read_text()
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))

_LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(?:services|projections|tests|docs|\.ci)/[\w./*-]*")
_FILE_NAME = re.compile(r"\w+\.(?:py|sql|toml|md)")
_FUNCTION = re.compile(r"(?:\w+\.)*(\w+)\(\)")
_CLASS = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")
_COMMAND_LINE = re.compile(r"^ *(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S+/)?tallystick ([a-z][^|;&#>\n`]*)", re.MULTILINE)
"""A line of a code block that runs the command, up to what the shell takes for itself."""
_FOREIGN = {"Accept", "Meta", "None", "PostgresTrackingRecorder", "ProjectionRunner", "Struct"}
"""Names of the language, of HTTP and of libraries that the documents use."""


@pytest.fixture(params=PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def page(request: pytest.FixtureRequest) -> Path:
    """Each document in turn."""
    assert isinstance(request.param, Path)
    return request.param


def test_every_setting_is_documented_with_its_default() -> None:
    documented = dict(re.findall(r"^\| `(TALLYSTICK_\w+)` \| (?:`([^`]*)`)? ?\|", CONFIGURATION, re.MULTILINE))
    actual = {f"TALLYSTICK_{name.upper()}": _as_written(field.default) for name, field in Settings.model_fields.items()}
    assert documented == actual


def _as_written(default: object) -> str:
    if default is None:
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default).lower()


def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for file, heading in _LINK.findall(page.read_text()):
        target = page.parent / file if file else page
        if not target.exists() or (heading and heading not in _headings(target)):
            broken.append(f"{file}#{heading}")
    assert not broken


@cache
def _headings(page: Path) -> set[str]:
    """The anchors that a renderer makes of the headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ |^    )make ([a-z]+)", page.read_text(), re.MULTILINE)) <= targets


def test_every_command_that_is_named_exists(page: Path) -> None:
    assert _commands_named_in(page) <= _commands()


def test_every_command_is_named_in_a_document() -> None:
    assert set[str]().union(*map(_commands_named_in, PAGES)) == _commands()


def _commands_named_in(page: Path) -> set[str]:
    return set(re.findall(r"(?:`|/|^    (?:\S+ )?)tallystick ([a-z][a-z-]*)", page.read_text(), re.MULTILINE))


def _commands() -> set[str]:
    group = typer.main.get_command(program)
    assert isinstance(group, typer.core.TyperGroup)
    return set(group.commands)


def test_every_option_of_a_command_in_a_document_exists(page: Path) -> None:
    unknown = []
    for line in _COMMAND_LINE.findall(page.read_text().replace("\\\n", " ")):
        name, *words = line.split()
        command = COMMANDS[name].load(name)
        if isinstance(command, typer.core.TyperGroup):
            command = command.commands[words[0]]
        known = {"--help", "--version", *(option for each in command.params for option in each.opts)}
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        unknown += [f"{option} of {name}" for option in sorted(options - known)]
    assert not unknown


def test_every_path_exists(page: Path) -> None:
    spans = _CODE_SPAN.findall(page.read_text())
    paths = [path for span in spans for path in _PATH.findall(span)]
    names = [span for span in spans if _FILE_NAME.fullmatch(span)]
    assert not [path for path in paths if not list(ROOT.glob(path.rstrip("./")))]
    assert not [name for name in names if name not in _file_names()]


@cache
def _file_names() -> set[str]:
    folders = ("services", "projections", "tests", "docs")
    return {path.name for folder in folders for path in (ROOT / folder).rglob("*.*")} | {"pyproject.toml"}


def test_every_function_and_class_exists(page: Path) -> None:
    names = [name for span in _CODE_SPAN.findall(page.read_text()) if (name := _defined_name(span))]
    assert not [name for name in names if name not in _definitions()]


@pytest.mark.parametrize("name", ["explanation/architecture.md", "reference/glossary.md"])
def test_what_stands_beside_a_file_is_defined_in_it(name: str) -> None:
    missing = []
    for block in _blocks((ROOT / "docs" / name).read_text()):
        spans = _CODE_SPAN.findall(block)
        files = [ROOT / span for span in spans if span.endswith(".py") and _PATH.fullmatch(span)]
        defined = set[str]().union(*(_defined_in(file.read_text()) for file in files))
        missing += [each for span in spans if files and (each := _defined_name(span)) and each not in defined]
    assert not missing


def _defined_name(span: str) -> str | None:
    """The name of the function that the span calls, or of the class that it is; None for any other span."""
    if function := _FUNCTION.fullmatch(span):
        return function[1]
    return span if _CLASS.fullmatch(span) else None


def _defined_in(source: str) -> set[str]:
    return set(re.findall(r"\b(?:def|class) (\w+)", source)) | set(re.findall(r"^(\w+)\b.* = ", source, re.MULTILINE))


@cache
def _definitions() -> set[str]:
    files = [path for folder in ("services", "projections", "tests") for path in (ROOT / folder).rglob("*.py")]
    return set[str]().union(*(_defined_in(path.read_text()) for path in files)) | _FOREIGN


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, list items and rows of tables."""
    return iter(re.split(r"\n\n|\n(?=\||\d+\. |- )", text))


def test_every_test_exists(page: Path) -> None:
    tests = set(re.findall(r"^def (test_\w+)", _source_of_tests(), re.MULTILINE))
    assert set(re.findall(r"`(test_\w+)`", page.read_text())) <= tests


@cache
def _source_of_tests() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


def test_every_credit_rule_names_a_test_that_shows_it() -> None:
    rules = (ROOT / "docs/reference/credit-rules.md").read_text()
    rows = re.findall(r"^\| R(\d+) \|.*\| `test_r(\d+)_", rules, re.MULTILINE)
    assert rows == [(str(number), str(number)) for number in range(1, 15)]
