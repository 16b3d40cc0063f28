"""The `demo` command: a made-up ledger to look at, and to measure on."""

import random
import time
from typing import Annotated

import typer

from services.bootstrap.ledger import fill_demo
from services.cli.console import EXIT_USAGE, fail, out, plain_errors, read_settings
from services.cli.progress import progress


def demo(
    subscriptions: Annotated[int, typer.Option(min=1, help="How many customers.")] = 200,
    events: Annotated[int, typer.Option(min=1, help="How many events in all; each start is two.")] = 20_000,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same customers; use it once.")] = None,
) -> None:
    """Fill the ledger with believable subscriptions and charges of the last half year. Not for production."""
    if events < 2 * subscriptions:
        fail(f"{subscriptions:,} subscriptions take at least {2 * subscriptions:,} events.", EXIT_USAGE)
    chosen = random.SystemRandom().getrandbits(63) if seed is None else seed
    began_at = time.monotonic()
    with plain_errors(), progress() as show:
        written = fill_demo(
            read_settings(), subscriptions, events, chosen, lambda done: show("Making up a ledger", done, events)
        )
    seconds = time.monotonic() - began_at
    out.print(f"Wrote {written:,} events of {subscriptions:,} subscriptions in {seconds:.1f} s (seed {chosen}).")
