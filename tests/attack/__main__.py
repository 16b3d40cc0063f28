"""`make attack`: charges at a steady pace, quiet and under each attack: latency, refusals, CPU and memory of the API.

Attackers come from other machines. Here the service with its database has one half of the cores, and those that attack
and charge have the other: what the attackers compute for themselves takes nothing from the service.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

import httpx
import psutil

from tests.attack.attacks import ATTACKS, Target, under_way
from tests.processes import free_port, running

SECONDS = float(os.environ.get("ATTACK_SECONDS", "10"))
ONLY = os.environ.get("ONLY", "")
CHARGES_A_SECOND = 40
HISTORY = 20_000
MEMORY_LEFT_MAX = 64 * 2**20
KEY = "ts_bootstrap_0123456789abcdef0123456789abcdef"

CORES = sorted(os.sched_getaffinity(0))
CORES_OF_SERVICE = CORES[: len(CORES) // 2] or CORES
CORES_OF_CLIENTS = CORES[len(CORES) // 2 :]

_numbers = count(1)


class Customers:
    """Charges at a steady pace, whatever becomes of the ones before."""

    def __init__(self, target: Target, ids: list[str]) -> None:
        self._target = target
        self._ids = ids
        self._client = httpx.Client(
            base_url=target.url,
            headers={"Authorization": f"Bearer {target.key}"},
            timeout=30,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=200),
        )

    def charge(self, seconds: float) -> tuple[list[float], list[str]]:
        """Charge for so long. Return the latencies, in milliseconds, and what was answered but 201."""
        with ThreadPoolExecutor(64) as threads:
            begin, pending = time.monotonic(), []
            for number in range(int(seconds * CHARGES_A_SECOND)):
                time.sleep(max(0.0, begin + number / CHARGES_A_SECOND - time.monotonic()))
                pending.append(threads.submit(self._charge, time.monotonic()))
            answers = [each.result() for each in pending]
        return [latency for latency, _ in answers], [refusal for _, refusal in answers if refusal]

    def _charge(self, due: float) -> tuple[float, str]:
        number = next(_numbers)
        body = {"generation_id": f"attacked-{number}", "model": "lyria-3"}
        try:
            answer = self._client.post(f"/v1/subscriptions/{self._ids[number % len(self._ids)]}/charges", json=body)
            refusal = "" if answer.status_code == 201 else str(answer.status_code)
        except httpx.TransportError as error:
            refusal = type(error).__name__
        return (time.monotonic() - due) * 1000, refusal


@contextmanager
def service() -> Iterator[tuple[Target, psutil.Process]]:
    """Run the whole service on a folder of its own, and on its half of the cores."""
    port = free_port()
    os.sched_setaffinity(0, CORES_OF_SERVICE)
    with (
        tempfile.TemporaryDirectory() as folder,
        running("serve", folder=Path(folder), port=port, bootstrap_key=KEY, log_level="error") as served,
    ):
        served.page("/readyz")
        os.sched_setaffinity(0, CORES_OF_CLIENTS)
        children = psutil.Process(served.process.pid).children(recursive=True)
        (api,) = (each for each in children if "api" in each.cmdline())
        yield Target(("127.0.0.1", port), KEY, ""), api


def prepare(target: Target) -> tuple[Target, list[str]]:
    """Start subscriptions to charge, and one with a long history to replay."""
    with httpx.Client(base_url=target.url, headers={"Authorization": f"Bearer {target.key}"}, timeout=60) as client:
        ids = [str(uuid4()) for _ in range(41)]
        for id in ids:
            body = {"subscription_id": id, "account_id": "a", "plan_id": "max-pro-240000-yearly"}
            client.post("/v1/subscriptions", json=body).raise_for_status()
        for begin in range(0, HISTORY, 1_000):
            charges = [
                {"subscription_id": ids[0], "generation_id": f"h-{begin + number}", "model": "example-image-1"}
                for number in range(1_000)
            ]
            client.post("/v1/charges/batch", json={"charges": charges}).raise_for_status()
    return Target(target.address, target.key, f"/v1/subscriptions/{ids[0]}"), ids[1:]


def cpu_seconds(process: psutil.Process) -> float:
    """Give the CPU time that a process has used."""
    times = process.cpu_times()
    return times.user + times.system


def memory_back(process: psutil.Process, before: int) -> tuple[float, int]:
    """Wait until the memory is within 64 MiB of what it was, for 20 s at most; return how long, and what is left."""
    begin = time.monotonic()
    while True:
        time.sleep(1)
        left, seconds = process.memory_info().rss - before, time.monotonic() - begin
        if left <= MEMORY_LEFT_MAX or seconds > 20:
            return seconds, left


def main() -> None:
    """Print a line for each attack."""
    with service() as (address, api):
        target, ids = prepare(address)
        customers = Customers(target, ids)
        customers.charge(2)
        quiet, _ = customers.charge(SECONDS)
        before = api.memory_info().rss
        quiet_p99 = quantiles(quiet, n=100)[98]
        print(f"{'quiet':22} p50 {quantiles(quiet, n=2)[0]:7.1f} ms   p99 {quiet_p99:8.1f} ms", flush=True)
        for attack, clients in ATTACKS.items():
            if ONLY and attack.__name__ not in ONLY:
                continue
            with under_way(attack, target, clients):
                time.sleep(1)
                used = cpu_seconds(api)
                latencies, refusals = customers.charge(SECONDS)
                used = cpu_seconds(api) - used
                peak = api.memory_info().rss - before
            back_after, left = memory_back(api, before)
            p50, p99 = quantiles(latencies, n=2)[0], quantiles(latencies, n=100)[98]
            print(
                f"{attack.__name__:22} p50 {p50:7.1f} ms   p99 {p99:8.1f} ms ({p99 / quiet_p99:5.1f} x)"
                f"   refused {len(refusals):3} of {len(latencies)} {sorted(set(refusals))}"
                f"   CPU {used / SECONDS:4.0%}"
                f"   memory {peak / 2**20:+5.0f} MiB, after {back_after:2.0f} s {left / 2**20:+5.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
