"""The past of a subscription on the command line."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer
from msgspec.json import Encoder

from services.bootstrap.ledger import open_as_of
from services.cli.console import FOUND_WRONG, WRONG_USE, err, out, plain_errors, settings
from services.ledger.as_of import NotYetStarted, PastSubscription, StillToCome, UnknownVersion
from services.subscription.calendar import Period

_JSON = Encoder(decimal_format="number")


def as_of(
    subscription: Annotated[UUID, typer.Argument(help="The id of the subscription.")],
    at: Annotated[str | None, typer.Option(help="An instant up to now, such as 2026-01-31T10:00:00Z.")] = None,
    version: Annotated[int | None, typer.Option(help="A version, in place of an instant.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As the API answers.")] = False,
) -> None:
    """Show a subscription as it was at an instant or at a version."""
    if (at is None) == (version is None):
        err.print("[red]Give either --at or --version.")
        raise typer.Exit(WRONG_USE)
    instant = None if at is None else _instant(at)
    with plain_errors(), open_as_of(settings()) as (past, connection):
        try:
            if instant is not None:
                found = past.at_instant(connection, subscription, instant)
            else:
                assert version is not None
                found = past.at_version(connection, subscription, version)
        except (NotYetStarted, StillToCome, UnknownVersion) as wrong:
            err.print(f"[red]{'--at ' if isinstance(wrong, StillToCome) else ''}{wrong}")
            raise typer.Exit(FOUND_WRONG) from None
    if found is None:
        err.print(f"[red]There is no subscription {subscription}.")
        raise typer.Exit(FOUND_WRONG)
    out.print(_JSON.encode(found.view()).decode() if as_json else _told(found.view()), markup=False)


def _instant(written: str) -> datetime:
    try:
        instant = datetime.fromisoformat(written)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        err.print("[red]--at must be an instant with its offset from UTC, such as 2026-01-31T10:00:00Z.")
        raise typer.Exit(WRONG_USE)
    return instant


def _told(past: PastSubscription) -> str:
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
        "renews": "never" if balance.credits_renew_at is None else _shown(balance.credits_renew_at),
        "scheduled": "nothing" if change is None else f"{change.kind} at {_shown(change.effective_at)}",
        "last event": f"version {last.version}, position {last.position}: {last.type} at {_shown(last.recorded_at)}",
    }
    head = f"{subscription.subscription_id} as of {_shown(balance.as_of)}"
    return "\n".join([head, *(f"  {name:<11} {value}" for name, value in lines.items())])


def _period(period: Period) -> str:
    return f"{period.number}: {_shown(period.starts_at)} to {_shown(period.ends_at)}"


def _shown(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
