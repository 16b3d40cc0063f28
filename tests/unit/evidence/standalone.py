"""Loads the verifier that lies beside the page on the format, and puts it beside the product's."""

import ast
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[3] / "docs/reference/verify_evidence.py"


def load_standalone() -> Any:
    """Import the one file of the verifier."""
    spec = spec_from_file_location("verify_evidence", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def foreign_imports() -> set[str]:
    """Return the packages that the file imports beside those of Python itself."""
    tree = ast.parse(PATH.read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    other = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in plain | other} - set(sys.stdlib_module_names)
