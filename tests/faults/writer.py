"""A writer process to be killed: charges, and says so. `python -m tests.faults.writer URL SCHEMA LIFE ID...`

Each line that it writes is whole or not there: `asked ID GENERATION`, then `told ID GENERATION POSITION` when answered.
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


def say(line: str) -> None:
    """Write a line at once; short enough for a pipe not to split it."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def charge_on(ledger: Ledger, life: str, client: int, ids: list[UUID]) -> None:
    """Charge until killed."""
    random = Random(f"{life} {client}")
    number = 0
    while True:
        number += 1
        id, generation_id = random.choice(ids), f"{life}-{client}-{number}"
        say(f"asked {id} {generation_id}")
        answer = ledger.execute(id, ChargeGeneration(generation_id, "lyria-3"), Metadata("writer", generation_id))
        if isinstance(answer, Charged):
            say(f"told {id} {generation_id} {answer.charge.position}")
        elif isinstance(answer, Failed):
            say(f"failed {id} {generation_id}")
            return


def main() -> None:
    """Charge with some clients at once until killed."""
    database_url, schema, life, *ids = sys.argv[1:]
    catalogue = load_catalogue(packaged(), PACKAGED_SOURCE)
    with Ledger(database_url, schema, catalogue) as ledger:
        clients = [
            Thread(target=charge_on, args=(ledger, life, client, [UUID(id) for id in ids])) for client in range(CLIENTS)
        ]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()


if __name__ == "__main__":
    main()
