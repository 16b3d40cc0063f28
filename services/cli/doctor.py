"""The `doctor` command: what is well, and what is not."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from services.bootstrap.doctor import Finding, examine
from services.cli.console import EXIT_FAILURE, INVALID_SETTINGS, JSON, faults_of, out
from services.config import load_settings


def doctor(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Examine the installation: settings, database, clock, versions, and what is wrong."""
    try:
        settings = load_settings()
    except INVALID_SETTINGS as error:
        findings = [Finding("settings", ok=False, detail=line) for line in faults_of(error)]
    else:
        findings = [Finding("settings", ok=True, detail="all are valid"), *examine(settings)]
    if as_json:
        typer.echo(JSON.encode({"data": findings}))
    else:
        table = Table("", "check", "what was found", show_edge=False)
        for finding in findings:
            mark = Text("ok", "green") if finding.ok else Text("WRONG", "bold red")
            table.add_row(mark, finding.check, Text(finding.detail))
        out.print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(EXIT_FAILURE)
