"""Reads the console blocks of a document, commands after `$ ` with their output below, and runs the commands again."""

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "INSTANT"),
    (re.compile(r"\btallystick/[0-9a-f]{32}(/refusals)?(\+[0-9a-f]{8}\+[A-Za-z0-9+/]{43,}=*)?"), "LOG"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r'("request_id": ?")[^"]+'), r"\1REQUEST"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "ADDRESS"),
)


class Example(NamedTuple):
    """A command and the output that the document shows for it."""

    command: str
    output: str


def console_examples(document: Path) -> list[Example]:
    """Read the examples of a document, in its order. A trailing backslash continues a command on the next line."""
    examples = []
    for block in _BLOCK.findall(document.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            length = next(number for number, line in enumerate(lines, start=1) if not line.endswith("\\"))
            examples.append(Example("\n".join(lines[:length]), "\n".join(lines[length:])))
    return examples


def mask(output: str) -> str:
    """Replace instants, hashes, ids and addresses by what they are."""
    for pattern, name in _VARYING:
        output = pattern.sub(name, output)
    return output.strip()


def with_outputs(text: str, examples: list[Example], outputs: list[str], port: str) -> str:
    """Return the text of a document with other outputs, of a service on this port, below its commands."""
    done = 0
    for example, output in zip(examples, outputs, strict=True):
        before = "\n".join(filter(None, (f"$ {example.command}", example.output)))
        after = "\n".join(filter(None, (f"$ {example.command}", _with_usual_port(output, port))))
        start = text.index(before, done)
        text = text[:start] + after + text[start + len(before) :]
        done = start + len(after)
    return text


def run_examples(examples: list[Example], folder: Path, port: str) -> list[str]:
    """Run the commands in one shell, against a service on this port, and return the output of each."""
    separator = "-- next command --"
    script = f"\necho; echo '{separator}'\n".join(example.command for example in examples).replace(
        ":8000/", f":{port}/"
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    shell = subprocess.run(
        ["bash", "-e"], input=script, cwd=folder, env=own, capture_output=True, text=True, check=False
    )
    assert shell.returncode == 0, shell.stdout + shell.stderr
    return shell.stdout.split(separator)


def _with_usual_port(output: str, port: str) -> str:
    """Return the output as a service on the usual port would give it."""
    return output.replace(f":{port}", ":8000").strip()
