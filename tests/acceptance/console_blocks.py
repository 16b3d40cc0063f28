"""The console blocks of a document: what is typed after `$ `, and what is shown below it; read, and typed again."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "INSTANT"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r'("request_id": ?")[^"]+'), r"\1REQUEST"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "ADDRESS"),
)


class Typed(NamedTuple):
    """One command and the output that the document shows for it."""

    command: str
    shown: str


def console_commands(document: Path) -> list[Typed]:
    """The commands of a document in its order; a trailing backslash continues a command on the next line."""
    typed = []
    for block in _BLOCK.findall(document.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            length = next(number for number, line in enumerate(lines, start=1) if not line.endswith("\\"))
            typed.append(Typed("\n".join(lines[:length]), "\n".join(lines[length:])))
    return typed


def without_varying(output: str) -> str:
    """The output with instants, hashes, ids and addresses named instead of shown."""
    for pattern, name in _VARYING:
        output = pattern.sub(name, output)
    return output.strip()


def with_outputs(text: str, commands: list[Typed], outputs: list[str]) -> str:
    """The text of a document with other outputs below its commands."""
    done = 0
    for typed, output in zip(commands, outputs, strict=True):
        before = "\n".join(filter(None, (f"$ {typed.command}", typed.shown)))
        after = "\n".join(filter(None, (f"$ {typed.command}", output)))
        start = text.index(before, done)
        text = text[:start] + after + text[start + len(before) :]
        done = start + len(after)
    return text


def type_commands(commands: list[Typed], folder: Path, port: str) -> list[str]:
    """Type the commands into one shell, for a service on this port; the output of each."""
    separator = "-- next command --"
    script = f"\necho; echo '{separator}'\n".join(typed.command for typed in commands).replace(":8000/", f":{port}/")
    shell = subprocess.run(["bash", "-e"], input=script, cwd=folder, capture_output=True, text=True, check=False)
    assert shell.returncode == 0, shell.stdout + shell.stderr
    return shell.stdout.split(separator)


def hide_port(output: str, port: str) -> str:
    """The output as a service on the usual port would give it."""
    return output.replace(f":{port}", ":8000").strip()
