"""Checks the schema itself: tables, columns, keys, constraints, triggers, functions, owners and grants."""

from typing import Any

from psycopg import Connection

from services.integrity.findings import NOWHERE, Findings
from services.integrity.verify.grounds import Ground, checked, not_available
from services.migrations.description import differences, expected_description, has_service_role


def check_schema(connection: Connection[Any], schema: str, findings: Findings) -> list[Ground]:
    """Add a finding for each part that is not as the migrations made it. Returns what the schema contributes."""
    for difference in differences(connection, schema):
        findings.add(NOWHERE, f"the schema, {difference.kind} {difference.name}", str(difference))
    parts = checked("schema", f"{len(expected_description()):,} parts")
    if has_service_role(connection, schema):
        return [parts]
    return [parts, not_available("grants", "the service's role does not exist here, so nothing is granted to it")]
