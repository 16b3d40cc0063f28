"""The `verify-receipt` command: a receipt checked offline, without settings, a server or a database."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import EXIT_USAGE, fail, out
from services.cli.pinned_files import Checkpoints, Keys, lineage_lines, pins_of, read_file, what_is_not_proven
from services.evidence.documents import rfc3339
from services.evidence.faults import NotGenuine
from services.evidence.receipt import RECEIPT_BYTES_MAX, VerifiedReceipt
from services.evidence.receipt import verify_receipt as verify


def verify_receipt(
    file: Annotated[Path, typer.Argument(help="As `GET …/charges/{generation_id}/receipt` gave it.")],
    key: Keys = None,
    checkpoint: Checkpoints = None,
) -> None:
    """Check the receipt of a charge: that its log has it, as it is here, signed by a key that was written down."""
    if not key:
        fail("--key is missing: a receipt proves nothing without a key of its log", EXIT_USAGE)
    pins = pins_of(key, checkpoint)
    content = read_file(file, RECEIPT_BYTES_MAX)
    try:
        verified = verify(content, pins)
    except NotGenuine as error:
        fail(f"{file} does not hold: {error}")
    out.print(_summary(verified) + what_is_not_proven(pins), markup=False)


def _summary(verified: VerifiedReceipt) -> str:
    charge, stored = verified.charge, verified.record.stored
    lines = {
        "charge": f"{charge.generation_id}: {charge.credits:,} credits for {charge.model}",
        "charged": rfc3339(stored.recorded_at),
        "balance": f"{charge.balance_after:,} after",
        "stream": f"version {stored.originator_version} of {stored.originator_id}",
        "position": f"{verified.position:,} of the ledger",
        "hash": stored.hash.hex(),
        **lineage_lines(verified.lineage),
    }
    rows = [f"  {name:<11} {value}" for name, value in lines.items()]
    return "\n".join(["It holds: the log has this charge, and its key has signed so.", *rows])
