"""The `verify-evidence` command: evidence checked offline, without settings, a server or a database."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import EXIT_USAGE, fail, out
from services.evidence.documents import rfc3339
from services.evidence.verify import NotGenuine, VerifiedEvidence, verify

EVIDENCE_BYTES_MAX = 256 * 1024 * 1024


def verify_evidence(
    file: Annotated[Path, typer.Argument(help="As `GET /v1/disputes/{id}/evidence` gave it.")],
    key_id: Annotated[
        list[str] | None, typer.Option(help="A key id that is trusted; where given, no other may have signed.")
    ] = None,
) -> None:
    """Check evidence of a disputed charge: every byte, hash, proof and signature, and that they fit together."""
    try:
        with file.open("rb") as opened:
            archive = opened.read(EVIDENCE_BYTES_MAX + 1)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", EXIT_USAGE)
    if len(archive) > EVIDENCE_BYTES_MAX:
        fail(f"{file} does not hold: it is larger than any evidence, which has at most {EVIDENCE_BYTES_MAX:,} bytes")
    try:
        verified = verify(archive, key_id or ())
    except NotGenuine as error:
        fail(f"{file} does not hold: {error}")
    out.print(_summary(verified, is_trusted=bool(key_id)), markup=False)


def _summary(verified: VerifiedEvidence, *, is_trusted: bool) -> str:
    facts, manifest = verified.facts, verified.manifest
    charge, resolution = facts.charge, facts.dispute.state.resolution
    numbers = ", ".join(str(each.number) for each in verified.checkpoints)
    lines = {
        "charge": f"{charge.generation_id}: {charge.credits:,} credits for {charge.model}",
        "charged": rfc3339(facts.charge_record.stored.recorded_at),
        "balance": f"{facts.before.balance_credits:,} before, {facts.after.balance_credits:,} after",
        "dispute": f"{manifest.dispute_id}: {facts.dispute.state.status}",
        "decided": "not yet" if resolution is None else rfc3339(facts.dispute.recorded_at),
        "events": f"{verified.subscription_events:,} of the subscription, {verified.dispute_events:,} of the dispute",
        "checkpoints": f"{numbers}; the charge was sealed {rfc3339(verified.sealed_at)}",
        "ledger": manifest.ledger,
        **{f"key {number}": key for number, key in enumerate(verified.key_ids, start=1)},
    }
    rows = [f"  {name:<11} {value}" for name, value in lines.items()]
    advice = "" if is_trusted else "\nCompare the key ids with those that the operator of the ledger has published."
    return "\n".join(["It holds: every byte is as it was made.", *rows]) + advice
