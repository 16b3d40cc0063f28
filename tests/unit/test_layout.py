"""The checkout keeps the rules of layout, and each rule finds what breaks it."""

import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from services.postgres.sql import parse_queries
from tests import layout
from tests.layout import MAX_FILE_LINES, MAX_FUNCTION_LINES, Module

ROOT = Path(__file__).resolve().parents[2]
Rule = Callable[[Module], list[str]]


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    """Every Python file of the checkout, tracked or about to be."""
    return [Module(path, text) for path, text in _texts("**/*.py").items()]


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """The paths of all files in git, from the top of the checkout."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for path in listing.stdout.split("\0") if path and (ROOT / path).is_file()]


def _texts(pattern: str) -> Mapping[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in ("services", "projections", "tests")
        for path in sorted((ROOT / folder).glob(pattern))
    }


@pytest.mark.parametrize(
    "rule",
    [
        layout.forbidden_imports,
        layout.misplaced_construction,
        layout.impure_calls,
        layout.effects_at_import,
        layout.oversized,
    ],
    ids=lambda rule: rule.__name__,
)
def test_every_module_keeps_the_rule(modules: list[Module], rule: Rule) -> None:
    held = [module for module in modules if rule is not layout.effects_at_import or not _is_test(module)]

    _assert_none(line for module in held for line in rule(module))


def test_every_query_is_named_and_commented() -> None:
    files = {path: text for path, text in _texts("**/*.sql").items() if "/migrations/" not in path}

    _assert_none(
        f"{path}: {query.name} has no comment"
        for path, text in files.items()
        for query in parse_queries(text, path)
        if not query.documentation
    )


def test_a_column_that_is_added_has_a_value_in_the_rows_that_exist() -> None:
    _assert_none(line for path, text in _migrations().items() for line in layout.columns_without_default(path, text))


def test_every_migration_says_what_it_is_for() -> None:
    _assert_none(f"{path} begins without a comment" for path, text in _migrations().items() if text[:3] != "-- ")


def _migrations() -> Mapping[str, str]:
    return {path: text for path, text in _texts("**/*.sql").items() if "/migrations/versions/" in path}


def test_no_sql_file_is_too_long() -> None:
    _assert_none(line for path, text in _texts("**/*.sql").items() for line in layout.too_many_lines(path, text))


def test_every_map_of_a_package_is_true(modules: list[Module], tracked: list[str]) -> None:
    product = [module for module in modules if not _is_test(module)]
    others = [path for path in tracked if path.startswith(("services/", "projections/")) and not path.endswith(".py")]

    _assert_none(layout.untrue_maps(product, others))


def test_only_what_belongs_at_the_top_is_there(tracked: list[str]) -> None:
    _assert_none(layout.unexpected_entries(tracked))


def test_every_file_has_a_telling_name(tracked: list[str]) -> None:
    _assert_none(layout.vague_names(tracked))


@pytest.mark.parametrize("rule", [layout.private_text, layout.absent_documents], ids=lambda rule: rule.__name__)
def test_no_tracked_text_has_what_others_cannot_read(
    tracked: list[str], rule: Callable[[Mapping[str, str]], list[str]]
) -> None:
    _assert_none(rule({path: (ROOT / path).read_text("utf-8", errors="replace") for path in tracked}))


def _is_test(module: Module) -> bool:
    return module.path.startswith("tests/")


def _assert_none(violations: Iterable[str]) -> None:
    lines = list(violations)
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("services/subscription/decide.py", "import psycopg"),
        ("services/subscription/decide.py", "from time import time"),
        ("services/subscription/decide.py", "def f():\n    import os"),
        ("services/subscription/decide.py", "from services.dispute.events import DisputeOpened"),
        ("services/subscription/decide.py", "from services.postgres.sql import load_queries"),
        ("services/subscription/decide.py", "from ..ledger import lane"),
        ("services/catalogue/load.py", "from services.subscription.state import Subscription"),
        ("services/catalogue/load.py", "from pathlib import Path"),
        ("services/catalogue/load.py", "from services.catalogue.packaged import packaged"),
        ("services/dispute/decide.py", "from services import ledger"),
        ("services/dispute/decide.py", "from projections.charges.view import Charge"),
        ("services/postgres/sql.py", "from services.config import Settings"),
        ("projections/engine.py", "import services.ledger.recorder"),
        ("projections/balance/queries.py", "from services.http import problems"),
        ("projections/balance/project.py", "from psycopg import Connection"),
        ("projections/balance/view.py", "from services.postgres.database import connect"),
        ("services/ledger/lane.py", "from services.renewals import run"),
        ("services/ledger/deciding.py", "import psycopg"),
        ("services/ledger/deciding.py", "from services.ledger.lookups import Lookups"),
        ("services/ledger/known.py", "from services.postgres.session import Session"),
        ("services/ledger/lane.py", "from services.postgres import embedded"),
        ("services/http/commands.py", "from services.cli import main"),
        ("services/http/app.py", "from services import bootstrap"),
        ("services/renewals/worker.py", "from services.http.app import create_app"),
        ("services/cli/program.py", "from services import renewals"),
        ("services/cli/verify.py", "import services.http"),
        ("services/cli/backup.py", "from services.postgres.embedded import EmbeddedPostgres"),
        ("services/http/app.py", "from services.postgres.embedded.account import data_folder"),
    ],
)
def test_an_import_against_the_direction_is_found(path: str, source: str) -> None:
    assert len(layout.forbidden_imports(Module(path, source))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("services/subscription/decide.py", "from services.catalogue import Catalogue"),
        ("services/subscription/calendar.py", "from dateutil.relativedelta import relativedelta"),
        ("services/dispute/decide.py", "from services.subscription.events import ChargeReversed"),
        ("services/catalogue/packaged.py", "from importlib.resources import files"),
        ("projections/engine.py", "from services.subscription.events import Event"),
        ("projections/balance/queries.py", "from services.postgres.sql import load_queries\nimport psycopg"),
        ("services/ledger/writes.py", "from projections.balance import project"),
        ("services/ledger/deciding.py", "from services.ledger.known import Known"),
        ("services/http/commands.py", "from services.ledger import Ledger"),
        ("services/http/problems.py", "from services.http import schemas"),
        ("services/cli/main.py", "from services.cli import audit\nfrom services import bootstrap"),
        (
            "services/bootstrap/api.py",
            "from services import renewals\nfrom services.postgres import embedded\nfrom services.http.app import app",
        ),
        ("services/postgres/embedded/server.py", "from services.postgres.embedded import account"),
        (
            "tests/faults/test_kill.py",
            "from services import http, cli, renewals\nfrom services.postgres import embedded",
        ),
    ],
)
def test_an_import_in_the_direction_is_not(path: str, source: str) -> None:
    assert layout.forbidden_imports(Module(path, source)) == []


@pytest.mark.parametrize("path", ["services/http/app.py", "projections/engine.py", "services/ledger/ledger.py"])
def test_a_pool_made_outside_the_wiring_is_found(path: str) -> None:
    assert layout.misplaced_construction(Module(path, "def f():\n    return psycopg_pool.ConnectionPool('')"))


def test_an_adapter_made_outside_the_wiring_is_found() -> None:
    source = "def f():\n    return Ledger(url, schema, catalogue)"

    assert layout.misplaced_construction(Module("services/http/app.py", source))
    assert layout.misplaced_construction(Module("services/bootstrap/ledger.py", source)) == []
    assert layout.misplaced_construction(Module("tests/integration/ledger/books.py", source)) == []


@pytest.mark.parametrize("path", ["services/bootstrap/database.py", "services/postgres/database.py"])
def test_a_pool_made_in_the_wiring_is_not(path: str) -> None:
    assert layout.misplaced_construction(Module(path, "def f():\n    return ConnectionPool('')")) == []


@pytest.mark.parametrize("call", ["datetime.now(UTC)", "uuid4()", "open('prices')", "print('x')", "f().now()"])
def test_an_impure_call_in_the_core_is_found(call: str) -> None:
    source = f"def decide():\n    return {call}"

    assert layout.impure_calls(Module("services/subscription/decide.py", source))
    assert layout.impure_calls(Module("projections/balance/project.py", source))
    assert layout.impure_calls(Module("services/renewals/worker.py", source)) == []


@pytest.mark.parametrize(
    "source",
    [
        "connection = psycopg.connect('')",
        "pool: ConnectionPool = ConnectionPool('', open=False)",
        "Thread(target=print).start()",
        "class Settings:\n    key = Path('key').read_text()",
        "if True:\n    with open('f') as f:\n        pass",
        "def f(folder=tempfile.mkdtemp()): ...",
        "@decorate(open('f'))\ndef f(): ...",
        "QUERIES = load_queries(__file__, 'q.sql', schema='ledger')",
        "subprocess.run(['true'])",
        "def one():\n    return two()\ndef two():\n    return open('f')\nTEXT = one()",
        "TEXTS = [open(name) for name in names]",
    ],
)
def test_an_effect_at_import_is_found(source: str) -> None:
    assert len(layout.effects_at_import(Module("services/http/app.py", source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    return open('f')",
        "class A:\n    def f(self):\n        return psycopg.connect('')",
        "f = lambda: open('f')",
        "def main():\n    open('f')\nif __name__ == '__main__':\n    main()",
        "PATTERN = re.compile('x')",
    ],
)
def test_an_effect_inside_a_function_is_not(source: str) -> None:
    assert layout.effects_at_import(Module("services/http/app.py", source)) == []


def test_a_file_or_a_function_that_is_too_long_is_found() -> None:
    line = "x = 1\n"
    body = "    x = 1\n"
    function = "async def f():\n" + body * (MAX_FUNCTION_LINES - 1)

    assert layout.oversized(Module("services/a.py", line * MAX_FILE_LINES)) == []
    assert layout.oversized(Module("services/a.py", line * (MAX_FILE_LINES + 1))) == ["services/a.py has 401 lines"]
    assert layout.oversized(Module("services/a.py", function)) == []
    assert layout.oversized(Module("services/a.py", function + body)) == ["services/a.py:1 f has 61 lines"]


LEDGER = [Module("services/ledger/lane.py", ""), Module("services/ledger/session.py", "")]


@pytest.mark.parametrize(
    ("docstring", "violation"),
    [
        ("The ledger.", "lacks lane.py"),
        ("The ledger.\n\nlane.py  the queue", "lacks session.py"),
        ("lane.py  the queue\nsession.py a connection", "lacks session.py"),
        ("lane.py  the queue\nsession.py  a connection\nheads.py  states", "names heads.py, which is not there"),
        ("lane.py  the queue\nsession.py  a connection\nbatch/  a batch", "names batch/, which is not there"),
        ("lane.py  the queue\nsession.py  a connection\nlane.py  again", "names lane.py twice"),
    ],
)
def test_a_map_that_lies_is_found(docstring: str, violation: str) -> None:
    package = Module("services/ledger/__init__.py", f'"""{docstring}"""')

    assert f"the map of services/ledger {violation}" in layout.untrue_maps([*LEDGER, package])


def test_a_package_that_the_map_lacks_is_found() -> None:
    packages = [Module("services/__init__.py", '"""Rooms."""'), Module("services/ledger/__init__.py", "")]

    assert layout.untrue_maps(packages) == ["the map of services lacks ledger/"]


def test_a_folder_of_modules_that_is_no_package_is_found() -> None:
    assert layout.untrue_maps(LEDGER) == ["services/ledger has modules and no __init__.py"]


@pytest.mark.parametrize("indent", ["", "    "])
def test_a_map_that_is_true_is_not(indent: str) -> None:
    lines = ["lane.py     the queue", "            and its thread", "session.py  a connection", "lane.sql    queries"]
    docstring = "The ledger.\n\n" + "\n".join(indent + line for line in lines)
    package = Module("services/ledger/__init__.py", f'"""{docstring}"""')
    room = Module("services/__init__.py", '"""Rooms.\n\nledger/  the write path"""')

    assert layout.untrue_maps([*LEDGER, package, room], ["services/ledger/lane.sql"]) == []


def test_a_column_without_a_default_is_found() -> None:
    column = "ALTER TABLE {schema}.balance ADD COLUMN term_number bigint NOT NULL"

    assert layout.columns_without_default("a.sql", f"{column};") == ["a.sql adds term_number without a default"]
    assert layout.columns_without_default("a.sql", f"{column} DEFAULT 0;") == []
    assert layout.columns_without_default("a.sql", "ALTER TABLE {schema}.balance ADD COLUMN note text;") == []


def test_a_vague_name_is_found_at_any_depth() -> None:
    paths = ["services/utils.py", "tests/helpers/a.py", "services/ledger/common/__init__.py", "services/ledger/lane.py"]

    assert layout.vague_names(paths) == paths[:3]


def test_a_stray_entry_at_the_top_is_found() -> None:
    assert layout.unexpected_entries(["README.md", "services/a.py", "notes.txt", "scripts/x"]) == [
        "notes.txt",
        "scripts",
    ]


@pytest.mark.parametrize(
    "parts",
    [
        ("see /", "work/main/services"),
        ("'/", "home/me/x'"),
        ("https://", "pypi", ".org/simple"),
        ("https://files.", "pythonhosted", ".org/x"),
        ("docker", ".io/library/postgres"),
        ("--index", "-url x"),
    ],
)
def test_text_of_one_machine_is_found(parts: tuple[str, ...]) -> None:
    assert len(layout.private_text({"docs/a.md": f"one\n{''.join(parts)}\n"})) == 1


@pytest.mark.parametrize(
    "parts", [("by SP", "EC"), ("`DES", "IGN.md`"), ("the HO", "USE"), ("../sh", "ared/x"), ("see BO", "OKS.md")]
)
def test_a_document_that_is_not_there_is_found(parts: tuple[str, ...]) -> None:
    assert len(layout.absent_documents({"services/a.py": f"# {''.join(parts)}\n"})) == 1


@pytest.mark.parametrize("text", ["a specification", "THE_HOUSE_RULES", "shared/x", "docs/reference/operation.md"])
def test_any_other_document_is_not(text: str) -> None:
    assert layout.absent_documents({"services/a.py": text}) == []


@pytest.mark.parametrize("text", ["/var/lib/tallystick", "/tmp", "https://a.example/home/x", "docs/home/x", "~/home"])
def test_other_text_is_not(text: str) -> None:
    assert layout.private_text({"docs/a.md": text}) == []
