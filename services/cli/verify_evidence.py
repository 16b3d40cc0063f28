"""The `verify-evidence` command: evidence checked offline, without settings, a server or a database."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.console import fail, out
from services.cli.pinned_files import Checkpoints, Keys, lineage_lines, pins_of, read_file, what_is_not_proven
from services.evidence.documents import rfc3339
from services.evidence.faults import NotGenuine
from services.evidence.lineage import Pins
from services.evidence.verify import VerifiedEvidence, verify

EVIDENCE_BYTES_MAX = 256 * 1024 * 1024


def verify_evidence(
    file: Annotated[Path, typer.Argument(help="As `GET /v1/disputes/{id}/evidence` gave it.")],
    key: Keys = None,
    checkpoint: Checkpoints = None,
) -> None:
    """Check evidence of a disputed charge: every byte, hash, proof and signature, and that they fit together."""
    pins = pins_of(key, checkpoint)
    archive = read_file(file, EVIDENCE_BYTES_MAX)
    try:
        verified = verify(archive, pins)
    except NotGenuine as error:
        fail(f"{file} does not hold: {error}")
    out.print(_summary(verified, pins), markup=False)


def _summary(verified: VerifiedEvidence, pins: Pins) -> str:
    facts, manifest = verified.facts, verified.manifest
    charge, resolution = facts.charge, facts.dispute.state.resolution
    events = f"{verified.subscription_events:,} of the subscription, {verified.dispute_events:,} of the dispute"
    lines = {
        "charge": f"{charge.generation_id}: {charge.credits:,} credits for {charge.model}",
        "charged": rfc3339(facts.charge_record.stored.recorded_at),
        "balance": f"{facts.before.balance_credits:,} before, {facts.after.balance_credits:,} after",
        "dispute": f"{manifest.dispute_id}: {facts.dispute.state.status}",
        "decided": "not yet" if resolution is None else rfc3339(facts.dispute.recorded_at),
        "events": f"{events}, {len(verified.refusals):,} refused",
        **lineage_lines(verified.lineage),
    }
    rows = [f"  {name:<11} {value}" for name, value in lines.items()]
    return "\n".join(["It holds: every byte is as it was made.", *rows]) + what_is_not_proven(pins)
