"""The `verify` command: the check of the whole ledger."""

import time
from typing import Annotated, Any

import msgspec
import typer

from services.bootstrap.audit import tell_of_findings, verify_ledger
from services.bootstrap.signing import key_file_of
from services.cli.console import EXIT_FAILURE, err, out, plain_errors, read_settings
from services.cli.pinned_files import Checkpoints, Keys, pins_of
from services.cli.progress import progress
from services.integrity.verify.verification import VerificationResult

FINDINGS_SHOWN = 20


def verify(
    key: Keys = None,
    checkpoint: Checkpoints = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check chains, log, prices, balances, read models and the schema against the events; name what does not hold."""
    settings = read_settings()
    pins = pins_of(key, checkpoint)
    began_at = time.monotonic()
    with plain_errors():
        with progress() as show:
            verified = verify_ledger(settings, show, pins)
        has_key = key_file_of(settings).read() is not None
    if json:
        typer.echo(msgspec.json.encode(_as_json(verified)))
    else:
        print_result(verified, time.monotonic() - began_at, has_key=has_key)
    if not verified.holds:
        tell_of_findings(settings, verified)
        raise typer.Exit(EXIT_FAILURE)


def _as_json(verified: VerificationResult) -> dict[str, Any]:
    findings = [
        {"what": each.subject, "detail": each.reason} | ({} if each.place is None else {"position": each.place})
        for each in verified.findings
    ]
    return {"holds": verified.holds, "findings": findings, "rests_on": verified.rests_on}


def print_result(verified: VerificationResult, seconds: float | None = None, *, has_key: bool = True) -> None:
    """Print what a check came to, and what it rests on."""
    rate = "" if seconds is None else f" in {seconds:.1f} s ({verified.events / seconds:,.0f} events/s)"
    out.print(f"Checked {verified.events:,} events of {verified.streams:,} streams{rate}.")
    newer = verified.events - verified.covered
    many = "checkpoint covers" if verified.checkpoints == 1 else "checkpoints cover"
    covered = f"{verified.checkpoints:,} {many} {verified.covered:,} events"
    out.print(f"{covered}; {newer:,} newer ones are held by chains and read models only.")
    if verified.checkpoints and not has_key:
        err.print(
            "[yellow]No signing key is kept here, so signatures were checked against the public keys in the database. "
            f"Compare these keys with what you know: {', '.join(verified.keys)}"
        )
    _print_findings(verified)
    out.print("It rests on:")
    for ground in verified.rests_on:
        status = "checked" if ground.status == "checked" else "[yellow]not available[/]"
        out.print(f"  {ground.what}: {status}, {ground.detail}", markup=True)


def _print_findings(verified: VerificationResult) -> None:
    if verified.holds:
        out.print("Everything holds.")
        return
    first, *others = verified.findings[:FINDINGS_SHOWN]
    out.print(f"[red]The first that does not hold:[/] {first}", markup=True)
    for finding in others:
        out.print(f"  {finding}", markup=False)
    if (left := verified.finding_count - len(others) - 1) > 0:
        out.print(f"  and {left:,} more")
