"""Runs tasks in processes. Folding keeps a core busy, so a fill runs in several, each on a share of the streams."""

import gc
import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Any, TypeVar

from msgspec.structs import replace

from projections.declaration import LedgerEvent
from projections.ledger_events import MissingEvent
from projections.rebuilding.fill import FillResult, FillTask, fill

MAX_PROCESSES = 4
EVENTS_PER_PROCESS = 100_000
STREAMS_PER_PASS = 250_000
"""How many states a process keeps at a time, about 300 MB. Where there are more, it reads the ledger several times."""


class ProcessFailed(RuntimeError):
    """A process ended with an error. The message is that of the error."""


Task = TypeVar("Task")
Result = TypeVar("Result")
Message = TypeVar("Message")


def fill_parts(task: FillTask, streams: int, report: Callable[[int], None], processes: int | None = None) -> FillResult:
    """Fill from all events up to `task.until`; `streams` is about how many streams they have.

    `processes` defaults to as many as there are cores and enough events for. Raises MissingEvent where positions have
    gaps, ProcessFailed, and what `fill` raises.
    """
    if processes is None:
        cores = min(os.cpu_count() or 1, MAX_PROCESSES)
        processes = 1 + min(cores - 1, task.until // EVENTS_PER_PROCESS)
    passes = -(-streams // (processes * STREAMS_PER_PASS)) or 1
    part_count = processes * passes
    shares = [
        replace(task, parts=range(first, part_count, processes), part_count=part_count) for first in range(processes)
    ]
    results = [fill(shares[0], report)] if processes == 1 else run_in_processes(fill, shares, report)
    if (events := sum(each.events for each in results)) != task.until:
        raise MissingEvent(f"there are {events} events up to position {task.until}")
    deferred: dict[str, list[LedgerEvent]] = {}
    for each in results:
        for table, of_table in each.deferred.items():
            deferred.setdefault(table, []).extend(of_table)
    return FillResult(events, deferred)


def run_in_processes(
    work: Callable[[Task, Callable[[Message], None]], Result], tasks: Sequence[Task], report: Callable[[Message], None]
) -> list[Result]:
    """Run tasks concurrently, each in a process of its own. Returns the results in the order of the tasks.

    `work` must be a function of a module, so that a process can import it. What it reports is passed to `report`.
    Raises ProcessFailed.
    """
    context = multiprocessing.get_context("spawn")
    pipes: list[Pipe] = []
    running = []
    for task in tasks:
        here, there = context.Pipe()
        process = context.Process(target=_run, args=(work, task, there), daemon=True)
        process.start()
        there.close()
        pipes.append(here)
        running.append(process)
    try:
        results = _gather(pipes, report)
        return [results[pipe] for pipe in pipes]
    finally:
        for process in running:
            process.terminate()
            process.join()


def _gather(pipes: list[Pipe], report: Callable[[Any], None]) -> dict[Pipe, Any]:
    results: dict[Pipe, Any] = {}
    waiting = list(pipes)
    while waiting:
        for pipe in wait(waiting):
            assert isinstance(pipe, Pipe)
            try:
                kind, message = pipe.recv()
            except EOFError:
                raise ProcessFailed("a process ended before it was done") from None
            match kind:
                case "progress":
                    report(message)
                case "result":
                    results[pipe] = message
                    waiting.remove(pipe)
                case _:
                    raise ProcessFailed(message)
    return results


def _run(work: Callable[[Any, Callable[[Any], None]], Any], task: Any, pipe: Pipe) -> None:
    """Run a task in its process. Sends what it reports while it runs, then the result, or the error as text."""
    gc.disable()  # its objects have no cycles, so collecting them is wasted
    try:
        result = work(task, lambda reported: pipe.send(("progress", reported)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the process that started this one reports it
        pipe.send(("failure", f"{type(error).__name__}: {error}"))
    else:
        pipe.send(("result", result))
