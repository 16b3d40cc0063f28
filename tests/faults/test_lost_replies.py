"""Replies lost at every point of the protocol: one charge each, and every answer correct.

`TALLYSTICK_LOST_REPLIES` cuts in the long form (10,000), `TALLYSTICK_SEED` for the same choices again.
"""

import os
from random import Random
from uuid import UUID

import pytest

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, IdempotencyKey
from services.subscription.commands import Command
from tests.conftest import SCHEMA
from tests.faults.customers import Customers
from tests.faults.proxy import AFTERMATHS, ANCHORS, SIDES, Cut, CuttingProxy
from tests.faults.seeds import seeded
from tests.integration.ledger.books import Books

SHORT = 200


def any_cut(random: Random) -> Cut:
    """Choose a point of the protocol: half of them anywhere in a transaction, half of them around its commit."""
    anchor = random.choice(ANCHORS)
    return Cut(
        anchor=anchor,
        side=random.choice(SIDES),
        after_messages=random.randrange(24 if anchor == "BEGIN" else 7),
        part=random.choice((0.0, random.random())),
        aftermath=random.choice(AFTERMATHS),
    )


def lose_replies(proxy: CuttingProxy, database_url: str, catalogue: Catalogue, count: int) -> None:
    """Cut this often under load, at one of two processes, and check everything."""
    random = seeded("lost replies")
    with Ledger(proxy.url, SCHEMA, catalogue) as proxied, Ledger(database_url, SCHEMA, catalogue) as direct:

        def execute(id: UUID, command: Command, metadata: Metadata, key: IdempotencyKey | None) -> Answer:
            ledger = direct if id.int % 8 == 0 else proxied
            return ledger.execute(id, command, metadata, idempotency=key)

        with Customers(execute, seed=random.getrandbits(32), count=8) as customers:
            for _ in range(count):
                customers.wait_for_charges(random.randrange(4))
                proxy.cut_next(any_cut(random))
    print(f"{proxy.cuts} cuts, {proxy.commits_cut} after a commit; {len(customers.acknowledged)} charges")
    print(dict(customers.answers))
    customers.check(Books(database_url))
    assert proxy.cuts == count
    assert proxy.commits_cut > count / 10, "some commits that took place are lost"


def test_every_charge_is_made_once_and_answered_correctly(
    proxy: CuttingProxy, database_url: str, catalogue: Catalogue
) -> None:
    lose_replies(proxy, database_url, catalogue, SHORT)


@pytest.mark.long
def test_every_charge_is_made_once_and_answered_correctly_many_times_over(
    proxy: CuttingProxy, database_url: str, catalogue: Catalogue
) -> None:
    lose_replies(proxy, database_url, catalogue, int(os.environ.get("TALLYSTICK_LOST_REPLIES", "10000")))
