"""Reads files that are checked offline, and what the person who checks them wrote down before."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import EXIT_USAGE, fail
from services.evidence.lineage import Pins, VerifiedLineage
from services.evidence.pins import BadPin, read_pins

Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key", metavar="VKEY", help="A key of the log, as `/v1/log/keys` gave it, or of a witness; repeatable."
    ),
]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoint",
        metavar="FILE",
        help="A checkpoint that was written down, or an answer of `/v1/checkpoints/proof`; repeatable.",
    ),
]
_PIN_BYTES_MAX = 4 * 1024 * 1024
_NO_KEY = """
No key was pinned: this proves that the file is sound in itself, and not whose it is. Whoever has a key of his own can
make such a file. Name a key of the ledger that you have from elsewhere: --key VKEY."""
_NO_CHECKPOINT = """
No checkpoint was pinned, and no witness: this does not prove that the ledger shows everybody the same log."""


def read_file(file: Path, bytes_max: int) -> bytes:
    """Read a file. Ends the program where it cannot be read, or is larger."""
    try:
        with file.open("rb") as opened:
            content = opened.read(bytes_max + 1)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", EXIT_USAGE)
    if len(content) > bytes_max:
        fail(f"{file} does not hold: it is larger than any such file, which has at most {bytes_max:,} bytes")
    return content


def pins_of(keys: Iterable[str] | None, files: Iterable[Path] | None) -> Pins:
    """Read what is pinned. Ends the program for what is no vkey, or no note."""
    try:
        return read_pins(keys or (), [read_file(file, _PIN_BYTES_MAX) for file in files or ()])
    except BadPin as error:
        fail(str(error), EXIT_USAGE)


def lineage_lines(lineage: VerifiedLineage) -> dict[str, str]:
    """The lines that say who signed."""
    return {
        "log": f"{lineage.checkpoint.origin}, checkpoint of size {lineage.checkpoint.size:,}",
        **{f"key {number}": str(key) for number, key in enumerate(lineage.keys, start=1)},
        **{f"witness {number}": str(key) for number, key in enumerate(lineage.witnesses, start=1)},
    }


def what_is_not_proven(pins: Pins) -> str:
    """What a file that holds does not prove for want of pins, in sentences on lines of their own."""
    no_key = "" if pins.log_keys or pins.checkpoints else _NO_KEY
    return no_key + ("" if pins.checkpoints or pins.witness_keys else _NO_CHECKPOINT)
