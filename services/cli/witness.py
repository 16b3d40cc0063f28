"""The `witness` command: a witness of logs, which needs no database."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.bootstrap.witness import run_witness
from services.cli.console import EXIT_USAGE, err, fail, plain_errors, read_role_settings
from services.log.keys import BadKey, KeyKind, VerifierKey
from services.process.supervisor import stop_event


def witness(
    log: Annotated[list[str], typer.Option(metavar="VKEY", help="A key of a log to witness; may be repeated.")],
    name: Annotated[
        str | None, typer.Option(help="The name of this witness, as in `witness.example/w1`; never change it.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its Ed25519 private key in PEM; else one in the data directory, made once."),
    ] = None,
) -> None:
    """Cosign checkpoints of logs that only ever grow. Prints its own vkey as the first line, and needs no database."""
    settings = read_role_settings()
    keys = [_log_key(vkey) for vkey in log]
    stopping = stop_event()

    def say_ready(own: VerifierKey, port: int) -> None:
        sys.stdout.write(f"{own}\n")
        sys.stdout.flush()
        err.print(f"Witnessing {len(keys)} log keys on http://{settings.host}:{port}")

    with plain_errors():
        try:
            run_witness(settings, keys, name, key, stopping, say_ready)
        except BadKey as error:
            fail(str(error), EXIT_USAGE)


def _log_key(vkey: str) -> VerifierKey:
    try:
        key = VerifierKey.parse(vkey)
    except BadKey as error:
        fail(str(error), EXIT_USAGE)
    if key.kind is not KeyKind.ED25519:
        fail(f"{vkey} is the key of a witness, and not of a log", EXIT_USAGE)
    return key
