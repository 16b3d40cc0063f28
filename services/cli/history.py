"""The `history` command: every event of a subscription, what it did, and the balance that it left."""

from collections.abc import Iterator
from datetime import UTC
from typing import Annotated
from uuid import UUID

import typer

from services.bootstrap.ledger import read_stream
from services.cli.console import JSON, fail, out, plain_errors, read_settings
from services.ledger.history import as_stored
from services.ledger.mapper import read_event
from services.ledger.records import Recorded
from services.subscription.state import Subscription, evolve
from services.subscription.wording import wording_of

_COLUMNS = "{:>8}  {:<27}  {:<22}  {:>12}  {}"


def history(
    subscription: Annotated[UUID, typer.Argument(help="The id of the subscription.")],
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object, with the events as in the API.")] = False,
) -> None:
    """Show every event of a subscription, oldest first, with the balance that each left."""
    with plain_errors():
        events = [read_event(stored) for stored in read_stream(read_settings(), subscription)]
    if not events:
        fail(f"There is no subscription {subscription}.")
    if as_json:
        out.print(JSON.encode({"data": [as_stored(each.stored) for each in events]}).decode(), markup=False)
        return
    for line in _as_text(events):
        out.print(line, markup=False)


def _as_text(events: list[Recorded]) -> Iterator[str]:
    yield _COLUMNS.format("version", "recorded at", "event", "balance", "what")
    state: Subscription | None = None
    for each in events:
        state = evolve(state, each.event)
        at = f"{each.stored.recorded_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        balance = f"{state.balance_credits:,}"
        yield _COLUMNS.format(
            each.originator_version, at, type(each.event).__name__, balance, wording_of(each.event).brief
        )
