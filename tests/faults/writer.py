"""A process to be killed that charges and reports: `python -m tests.faults.writer URL SCHEMA NAME ID...`

It writes whole lines: `requested ID GENERATION`, then `acknowledged ID GENERATION POSITION` when it is answered.
"""

import os
import sys
from random import Random
from threading import Thread
from uuid import UUID

from services.catalogue import load_catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Charged, Failed
from services.subscription.commands import ChargeGeneration

CLIENTS = 6


def report(line: str) -> None:
    """Write a line at once, short enough for a pipe not to split it."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def charge_until_killed(ledger: Ledger, name: str, client: int, ids: list[UUID]) -> None:
    """Charge one generation after the other."""
    random = Random(f"{name} {client}")
    number = 0
    while True:
        number += 1
        id, generation_id = random.choice(ids), f"{name}-{client}-{number}"
        report(f"requested {id} {generation_id}")
        answer = ledger.execute(id, ChargeGeneration(generation_id, "lyria-3"), Metadata("writer", generation_id))
        if isinstance(answer, Charged):
            report(f"acknowledged {id} {generation_id} {answer.charge.position}")
        elif isinstance(answer, Failed):
            report(f"failed {id} {generation_id}")
            return


def main() -> None:
    """Charge from concurrent clients until killed."""
    database_url, schema, name, *ids = sys.argv[1:]
    catalogue = load_catalogue(packaged(), PACKAGED_SOURCE)
    with Ledger(database_url, schema, catalogue) as ledger:
        subscription_ids = [UUID(id) for id in ids]
        clients = [
            Thread(target=charge_until_killed, args=(ledger, name, client, subscription_ids))
            for client in range(CLIENTS)
        ]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()


if __name__ == "__main__":
    main()
