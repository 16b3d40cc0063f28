"""The rules of layout, each a function from source code to the places that break it.

They read code without running it. `tests/unit/test_layout.py` applies them to the checkout and proves each of them on
small sources.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

TRACKED_ENTRIES = frozenset(
    """pyproject.toml README.md LICENSE services projections tests docker-compose.yml Makefile Dockerfile
    requirements.lock docs .ci .gitignore .dockerignore""".split()
)

VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"})

# The functional core, and what it may know: each other in this direction, and libraries that only compute.
CORE = {
    "services.catalogue": ("services.catalogue",),
    "services.subscription": ("services.subscription", "services.catalogue"),
    "services.dispute": ("services.dispute", "services.subscription", "services.catalogue"),
}
# Pure as well, in a package that is not: deciding a batch, on what was looked up; what a projection declares.
PURE_MODULES = ("services.ledger.deciding", "services.ledger.known", "projections.declaration")
DATABASE_MODULES = (
    *(f"services.ledger.{name}" for name in "lane ledger lookups recorder snapshots transaction writes".split()),
    "services.postgres",
)
COMPUTING_LIBRARIES = frozenset(
    """__future__ abc bisect collections copy dataclasses datetime decimal enum fractions functools heapq itertools math
    operator re string textwrap tomllib types typing uuid zoneinfo
    dateutil msgspec typing_extensions""".split()
)
# The one module beside the core that reads a file; the rest gets its content passed in.
FILE_READERS = ("services.catalogue.packaged",)

# Parts of the shell that may import only these of our own modules.
SHELL = {
    "services.postgres": ("services.postgres",),
    "services.log": ("services.log",),
    "projections": (
        "projections",
        *CORE,
        "services.postgres.arrays",
        "services.postgres.sql",
        "services.postgres.database",
        "services.process.progress",
    ),
}
# Parts of the shell that may not import these. The ways in know the ledger, and it knows none of them.
WAYS_IN = ("services.http", "services.cli", "services.renewals")
FORBIDDEN = {
    **dict.fromkeys(PURE_MODULES, DATABASE_MODULES),
    "services.ledger": (*WAYS_IN, "services.bootstrap", "services.config", "services.integrity", "services.transfer"),
    "services.integrity": (*WAYS_IN, "services.bootstrap", "services.config"),
    "services.transfer": (*WAYS_IN, "services.bootstrap", "services.config"),
    "services.fleet": (*WAYS_IN, "services.bootstrap", "services.config"),
    "services.evidence": (*WAYS_IN, "services.bootstrap", "services.config"),
    "services.witness": (*WAYS_IN, "services.bootstrap", "services.config", "services.ledger", "services.postgres"),
    "services.http": ("services.cli", "services.renewals", "services.bootstrap"),
    "services.renewals": ("services.cli", "services.http", "services.bootstrap"),
    "services.webhooks": ("services.cli", "services.http", "services.bootstrap", "services.config"),
    "services.cli": ("services.http", "services.renewals"),
    "services.config": (*WAYS_IN, "services.bootstrap", "services.ledger", "projections"),
}
# Who may import an adapter that only the composition root puts in place.
WIRED = {
    "services.postgres.embedded": ("services.bootstrap", "services.postgres.embedded", "services.backup"),
    "services.catalogue.packaged": ("services.bootstrap",),
}
# What connects, listens or signs, and so is made by the composition root alone (and by tests).
ADAPTERS = frozenset(
    """Ledger KeyRing EmbeddedPostgres KeyFile Receipts Seals Sealer SealingThread WitnessServer Cosigners Backend
    Projector Checkpointer RenewalWorker Rebuild Export Import FleetRun Settling Adopting Supervisor""".split()
)
# Who may make a connection pool: the modules that know how, and the one that decides where.
POOLS = ("ConnectionPool", "AsyncConnectionPool", "NullConnectionPool", "AsyncNullConnectionPool")
POOL_MAKERS = ("services.postgres.database", "services.bootstrap", "services.webhooks.sending")

# Calls that connect, start or touch something. None may run when a module is imported.
EFFECTS = frozenset(
    """open connect ConnectionPool AsyncConnectionPool NullConnectionPool create_engine create_connection urlopen
    start_http_server Thread Timer Process ThreadPoolExecutor ProcessPoolExecutor Popen check_call check_output mkdtemp
    TemporaryDirectory NamedTemporaryFile read_text read_bytes write_text write_bytes mkdir touch unlink
    load_queries subprocess.run asyncio.run socket.socket""".split()
)
# Calls whose result differs from one run to the next, or that leave a trace. None belongs in the core.
IMPURE = frozenset("now utcnow today uuid1 uuid4 uuid6 uuid7 open print input".split())

# Documents that are not in the repository, so that nobody who has only the repository could read what is cited.
ABSENT_DOCUMENTS = re.compile(
    r"\b(?:SP[E]C|DES[I]GN|HO[U]SE)(?:\.md)?\b|\b(?:ANCH[O]RS|BO[O]KS|OPER[A]TION)\.md\b|\.\./sh[a]red\b"
)

# A line of a package's map: a file or a folder, two spaces or more, what it holds.
MAP_ENTRY = re.compile(r"(\w+\.\w+|\w+/)\s{2,}\S")
# Folders of scripts that a tool runs one by one, so they are no packages.
SCRIPT_FOLDERS = frozenset({"services/migrations/versions"})

# Where one developer's machine, or the network around it, shows through.
PRIVATE_TEXT = re.compile(
    r"(?<![\w.~-])/(?:work|home|root|Users)/\w"
    r"|\b(?:pypi|pythonhosted|npmjs|deb\.debian)\.org\b|\b(?:crates|docker|ghcr|quay)\.io\b"
    r"|--(?:extra-)?index-url"
)


@dataclass(frozen=True)
class Module:
    """One Python file: its path from the top of the checkout, and its text."""

    path: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    @cached_property
    def name(self) -> str:
        parts = PurePosixPath(self.path).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def is_package(self) -> bool:
        """Whether it is the `__init__.py` of a package."""
        return PurePosixPath(self.path).name == "__init__.py"

    @cached_property
    def is_core(self) -> bool:
        """Pure: the three core packages, each read model's `project` and `view`, and what decides a batch."""
        if _within(self.name, FILE_READERS):
            return False
        leaf = self.name.rpartition(".")[2]
        return _within(self.name, (*CORE, *PURE_MODULES)) or (
            _within(self.name, ("projections",)) and leaf in {"project", "view"}
        )

    def imports(self) -> Iterator[str]:
        """Yield every dotted name that it imports, anywhere; `from a import b` gives `a.b`, which may be a module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def forbidden_imports(module: Module) -> list[str]:
    """Find imports against the directions of dependency."""
    return [f"{module.path} imports {imported}" for imported in module.imports() if not _may_import(module, imported)]


def _may_import(module: Module, imported: str) -> bool:
    for adapter, users in WIRED.items():
        if _within(imported, (adapter,)) and _within(module.name, ("services", "projections")):
            return _within(module.name, users)
    ours = _within(imported, ("services", "projections"))
    if module.is_core and not ours:
        return imported.partition(".")[0] in COMPUTING_LIBRARIES
    if module.is_core and _within(
        imported, ("services.postgres.arrays", "services.postgres.sql", "services.postgres.database")
    ):
        return False
    for part, known in (CORE | SHELL).items():
        if ours and _within(module.name, (part,)):
            return _within(imported, known)
    return not any(_within(module.name, (part,)) and _within(imported, unknown) for part, unknown in FORBIDDEN.items())


def misplaced_construction(module: Module) -> list[str]:
    """Find adapters that are made outside the composition root, and pools outside the modules that make them."""
    misplaced = frozenset() if _within(module.name, POOL_MAKERS) else frozenset(POOLS)
    if _within(module.name, ("services", "projections")) and not _within(module.name, ("services.bootstrap",)):
        misplaced |= ADAPTERS
    return [
        f"{module.path}:{call.lineno} makes a {name}"
        for call, name in _calls(ast.walk(module.tree))
        if name.rpartition(".")[2] in misplaced
    ]


def impure_calls(module: Module) -> list[str]:
    """Find calls in the core that read the clock, make an id or touch a file."""
    if not module.is_core:
        return []
    return [
        f"{module.path}:{call.lineno} calls {name}"
        for call, name in _calls(ast.walk(module.tree))
        if name.rpartition(".")[2] in IMPURE
    ]


def effects_at_import(module: Module) -> list[str]:
    """Find connections, threads and files that are made when the module is imported.

    Functions of the module itself are followed, where the module calls them while it is imported.
    """
    functions = {node.name: node for node in module.tree.body if isinstance(node, ast.FunctionDef)}
    followed: set[str] = set()
    pending: list[Sequence[ast.stmt]] = [module.tree.body]
    violations: list[str] = []
    while pending:
        for call, name in _calls(_run_at_once(pending.pop())):
            if name in functions and name not in followed:
                followed.add(name)
                pending.append(functions[name].body)
            elif name in EFFECTS or name.rpartition(".")[2] in EFFECTS:
                violations.append(f"{module.path}:{call.lineno} calls {name} at import")
    return sorted(violations)


def _run_at_once(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes that run with the statements: all but bodies of functions and annotations."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _run_at_once([*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)])
        elif isinstance(node, ast.Lambda):
            yield from _run_at_once([*node.args.defaults, *filter(None, node.args.kw_defaults)])
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"):
            yield node
            yield from _run_at_once(ast.iter_child_nodes(node))


def _calls(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.Call, str]]:
    """Yield the calls among the nodes, each with its dotted name in the source."""
    for node in nodes:
        if isinstance(node, ast.Call):
            yield node, _dotted(node.func)


def _dotted(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=owner, attr=name):
            return f"{_dotted(owner)}.{name}"
        case _:
            return ""


def oversized(module: Module) -> list[str]:
    """Find a file or functions that are too long."""
    violations = too_many_lines(module.path, module.source)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                violations.append(f"{module.path}:{node.lineno} {node.name} has {lines} lines")
    return violations


def too_many_lines(path: str, text: str) -> list[str]:
    """The file itself, where it has more than MAX_FILE_LINES."""
    lines = len(text.splitlines())
    return [f"{path} has {lines} lines"] if lines > MAX_FILE_LINES else []


def untrue_maps(modules: Iterable[Module], other_files: Iterable[str] = ()) -> list[str]:
    """Find packages whose map, the list in the docstring of `__init__.py`, differs from their folder.

    A map names every module of its folder and every package in it once. It may name other files of the folder too.
    """
    packages = {str(PurePosixPath(module.path).parent): module for module in modules if module.is_package}
    contents = _contents([*(module.path for module in modules), *other_files], packages)
    violations: list[str] = []
    for folder, entries in sorted(contents.items()):
        needed = {entry for entry in entries if entry.endswith((".py", "/"))} - {"__init__.py"}
        named = _map_entries(packages[folder]) if folder in packages else []
        if needed and folder not in packages:
            violations.append(f"{folder} has modules and no __init__.py")
        else:
            violations += [f"the map of {folder} lacks {entry}" for entry in sorted(needed - set(named))]
        violations += [
            f"the map of {folder} names {entry}, which is not there" for entry in named if entry not in entries
        ]
        violations += [
            f"the map of {folder} names {entry} twice" for entry in sorted(set(named)) if named.count(entry) > 1
        ]
    return violations


def _contents(paths: Iterable[str], packages: Iterable[str]) -> dict[str, set[str]]:
    """The names in each folder: its files, and with a slash behind them the packages in it."""
    contents: dict[str, set[str]] = {}
    for path in (*map(PurePosixPath, paths), *map(PurePosixPath, packages)):
        if (folder := str(path.parent)) != "." and folder not in SCRIPT_FOLDERS:
            contents.setdefault(folder, set()).add(path.name if path.suffix else f"{path.name}/")
    return contents


def _map_entries(package: Module) -> list[str]:
    lines = (ast.get_docstring(package.tree) or "").splitlines()
    return [match[1] for line in lines if (match := MAP_ENTRY.match(line.strip()))]


def columns_without_default(path: str, text: str) -> list[str]:
    """Columns that a migration adds not null and without a default: PostgreSQL refuses that on a table with rows."""
    return [
        f"{path} adds {added[1]} without a default"
        for added in re.finditer(r"ADD COLUMN (\w+)[^;,]*", text)
        if "NOT NULL" in added[0] and "DEFAULT" not in added[0]
    ]


def vague_names(paths: Iterable[str]) -> list[str]:
    """Find files and folders whose names do not say what is in them."""
    return [path for path in paths if any(part.partition(".")[0] in VAGUE_NAMES for part in PurePosixPath(path).parts)]


def unexpected_entries(paths: Iterable[str]) -> list[str]:
    """Find top-level entries that do not belong there."""
    return sorted({PurePosixPath(path).parts[0] for path in paths} - TRACKED_ENTRIES)


def private_text(texts: Mapping[str, str]) -> list[str]:
    """Find paths of one machine and hosts of package registries; `texts` are contents by path."""
    return _occurrences(PRIVATE_TEXT, texts)


def absent_documents(texts: Mapping[str, str]) -> list[str]:
    """Find citations of documents that are not in the repository; `texts` are contents by path."""
    return _occurrences(ABSENT_DOCUMENTS, texts)


def _occurrences(pattern: re.Pattern[str], texts: Mapping[str, str]) -> list[str]:
    return [
        f"{path}:{number} says {match[0]}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        for match in pattern.finditer(line)
    ]


def _within(name: str, parts: Iterable[str]) -> bool:
    """Whether the module is one of the parts or in it."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)
