"""The `as-of` command: a subscription as it was at an instant or at a version."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from services.bootstrap.ledger import open_as_of
from services.cli.console import EXIT_USAGE, JSON, fail, out, plain_errors, read_settings
from services.ledger.as_of import NotYetStarted, PastSubscription, StillToCome, UnknownVersion
from services.subscription.calendar import Period


def as_of(
    subscription: Annotated[UUID, typer.Argument(help="The id of the subscription.")],
    at: Annotated[str | None, typer.Option(help="An instant up to now, such as 2026-01-31T10:00:00Z.")] = None,
    version: Annotated[int | None, typer.Option(help="A version, in place of an instant.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As the API answers.")] = False,
) -> None:
    """Show a subscription as it was at an instant or at a version."""
    if (at is None) == (version is None):
        fail("Give either --at or --version.", EXIT_USAGE)
    instant = None if at is None else _parse_instant(at)
    with plain_errors(), open_as_of(read_settings()) as (past, connection):
        try:
            if instant is not None:
                state = past.at_instant(connection, subscription, instant)
            else:
                assert version is not None
                state = past.at_version(connection, subscription, version)
        except (NotYetStarted, StillToCome, UnknownVersion) as error:
            fail(f"{'--at ' if isinstance(error, StillToCome) else ''}{error}")
    if state is None:
        fail(f"There is no subscription {subscription}.")
    view = state.view()
    out.print(JSON.encode(view).decode() if as_json else _summary(view), markup=False)


def _parse_instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        fail("--at must be an instant with its offset from UTC, such as 2026-01-31T10:00:00Z.", EXIT_USAGE)
    return instant


def _summary(past: PastSubscription) -> str:
    subscription, balance, last = past.subscription, past.balance, past.last_event
    change = subscription.scheduled_change
    lines = {
        "account": subscription.account_id,
        "status": subscription.status,
        "plan": f"{subscription.plan.plan_id} ({subscription.plan.name}, {subscription.plan.billing_period})",
        "balance": f"{balance.balance_credits:,} credits",
        "granted": f"{balance.granted_credits:,}, of which {balance.carried_credits:,} carried over",
        "used": f"{balance.used_credits:,}",
        "given back": f"{balance.reversed_credits:,}",
        "cycle": _period(balance.cycle),
        "term": _period(subscription.term),
        "renews": "never" if balance.credits_renew_at is None else _format(balance.credits_renew_at),
        "scheduled": "nothing" if change is None else f"{change.kind} at {_format(change.effective_at)}",
        "last event": f"version {last.version}, position {last.position}: {last.type} at {_format(last.recorded_at)}",
    }
    head = f"{subscription.subscription_id} as of {_format(balance.as_of)}"
    return "\n".join([head, *(f"  {name:<11} {value}" for name, value in lines.items())])


def _period(period: Period) -> str:
    return f"{period.number}: {_format(period.starts_at)} to {_format(period.ends_at)}"


def _format(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
