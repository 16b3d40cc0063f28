"""One process that charges through the ledger without HTTP: `python -m tests.bench.in_process URL CHARGES ONLY`.

With CHARGES 0 it only starts the benchmark's subscriptions; ONLY is the number of the one to charge, 0 for all.
"""

import json
import random
import secrets
import sys
import threading
import time
from collections.abc import Sequence
from uuid import UUID

from services.catalogue import load_catalogue
from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Charged, Done, Submission
from services.process.interpreter import tune_for_serving
from services.subscription.commands import ChargeGeneration, Command, StartSubscription
from tests.bench.load import SUBSCRIPTIONS, subscription_id
from tests.bench.stand import CATALOGUE, SCHEMA

WAITING = 1_536
"""The most commands in the queue at any time; six full batches."""
GROUP = 64

BY = Metadata("bench", "aBcDeFgHiJkLmNoP")


def main() -> None:
    """Charge, and print the seconds and the CPU seconds that it took as JSON."""
    database_url, charges, only = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with Ledger(database_url, SCHEMA, load_catalogue(CATALOGUE.read_text(), str(CATALOGUE))) as ledger:
        ids = [subscription_id(number) for number in range(1, SUBSCRIPTIONS + 1)]
        put(ledger, [(id, StartSubscription("bench", "endless")) for id in ids])
        if not charges:
            return
        run = secrets.token_hex(4)
        targets = [subscription_id(only)] if only else ids
        commands = [
            (random.choice(targets), ChargeGeneration(f"{run}-{number:08x}", "lyria-3")) for number in range(charges)
        ]
        tune_for_serving()
        print("ready", flush=True)
        sys.stdin.readline()
        started, cpu_started = time.perf_counter(), time.process_time()
        put(ledger, commands)
        times = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu_started}
        print(json.dumps(times), flush=True)


def put(ledger: Ledger, commands: Sequence[tuple[UUID, Command]]) -> None:
    """Put the commands, never many more than `WAITING` at once, and wait for every answer. Raises RuntimeError."""
    room, finished = threading.Semaphore(WAITING // GROUP), threading.Event()
    answered = 0
    failed: list[Answer] = []

    def deliver(_submission: Submission, answer: Answer) -> None:
        nonlocal answered  # the lane's thread alone calls this
        answered += 1
        if not isinstance(answer, Charged | Done):
            failed.append(answer)
        if answered % GROUP == 0:
            room.release()
        if answered == len(commands):
            finished.set()

    for place, (id, command) in enumerate(commands):
        if place % GROUP == 0:
            room.acquire()
        ledger.lane.submit(Submission(id, command, BY, deliver))
    finished.wait()
    if failed:
        raise RuntimeError(f"{len(failed)} commands were not carried out; the first: {failed[0]}")


if __name__ == "__main__":
    main()
