"""The libraries that are pinned exactly, since something of them is used that they do not promise to keep.

A version that lacks any of it fails here, by name, before it fails under load. How it behaves is specified in
`tests/integration/ledger/test_session.py` and `test_stock_library.py`, and in `tests/acceptance/test_connections.py`.
"""

import ast
import inspect
import re
import textwrap
import tomllib
from importlib.metadata import version
from pathlib import Path

import httptools
import psycopg
import pytest
from psycopg import pq
from psycopg._connection_base import BaseConnection
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.waiting import Ready, Wait
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

ROOT = Path(__file__).resolve().parents[2]
PINNED = ("eventsourcing", "psycopg", "uvicorn", "httptools")


@pytest.mark.parametrize("library", PINNED)
def test_it_is_pinned_locked_and_installed_in_one_version(library: str) -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (pin,) = (match[1] for each in dependencies if (match := re.fullmatch(rf"{library}(?:\[\w+\])?==(\S+)", each)))
    (locked,) = re.findall(rf"^{library}(?:\[\w+\])?==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)

    assert pin == locked == version(library)


def test_psycopg_has_what_the_session_uses() -> None:
    """The pipeline of libpq, how results become rows, and how psycopg waits."""
    _assert_has(psycopg.Connection, "wait info")
    assert "pgconn" in _attributes_of("self", BaseConnection)
    _assert_has(
        pq.PGconn,
        "enter_pipeline_mode exit_pipeline_mode pipeline_sync send_prepare send_query_prepared flush consume_input"
        " is_busy get_result",
    )
    _assert_has(pq.PGresult, "status command_status ntuples")
    _assert_has(pq.ExecStatus, "COMMAND_OK TUPLES_OK PIPELINE_SYNC PIPELINE_ABORTED FATAL_ERROR")
    _assert_has(Transformer, "set_pgresult load_rows dump_sequence formats")
    _assert_has(Wait, "R RW")
    _assert_has(Ready, "R")
    assert {"result", "encoding"} <= inspect.signature(error_from_result).parameters.keys()


def test_uvicorn_has_what_the_fast_path_extends() -> None:
    """Methods that are overridden or called, attributes that are read, and the status lines."""
    _assert_has(
        HttpToolsProtocol,
        "connection_made data_received on_headers_complete on_body on_message_complete on_response_complete"
        " _unset_keepalive_if_required",
    )
    made = _attributes_of("self", HttpToolsProtocol.connection_made)
    assert made == {"connections", "transport", "flow", "server", "client", "scheme", "logger"}
    _assert_has(FlowControl, "drain")
    assert "write_paused" in _attributes_of("self", FlowControl)
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
    read = "app cycle expect_100_continue access_log flow headers limit_concurrency loop parser root_path server_state"
    assert {*read.split(), "tasks", "transport", "url"} <= _attributes_of("self", HttpToolsProtocol)


def test_uvicorn_asks_no_more_of_a_request_than_the_fast_path_answers() -> None:
    """In the methods that are not overridden, of the object that stands for the request under way."""
    overridden = {"on_headers_complete", "on_body", "on_message_complete"}
    others = [
        method for name, method in inspect.getmembers(HttpToolsProtocol, inspect.isfunction) if name not in overridden
    ]
    asked = {name for method in others for name in _attributes_of("self.cycle", method)}

    assert asked == {"response_complete", "disconnected", "message_event", "keep_alive"}


def test_httptools_has_what_the_fast_path_asks_the_parser() -> None:
    _assert_has(httptools.HttpRequestParser, "get_http_version get_method should_keep_alive should_upgrade")


def _assert_has(owner: type, names: str) -> None:
    assert not [name for name in names.split() if not hasattr(owner, name)]


def _attributes_of(expression: str, source: object) -> set[str]:
    """The names of the attributes of an expression, such as `self.cycle`, in the source of a class or a function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(source)))  # type: ignore[arg-type] # it has a source
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == expression
    }
