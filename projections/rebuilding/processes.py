"""Spreads work over processes, since folding keeps a core busy: each takes a share of the streams."""

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
from projections.rebuilding.fill import Filled, FillTask, fill

PROCESSES_LIMIT = 4
EVENTS_WORTH_A_PROCESS = 100_000
STREAMS_IN_MEMORY = 250_000
"""How many states a process keeps at a time; about 300 MB. Where there are more, it reads the ledger more than once."""


class ProcessFailed(RuntimeError):
    """A process that did a part of the work ended with an error."""


Task = TypeVar("Task")
Result = TypeVar("Result")


def fill_parts(task: FillTask, streams: int, report: Callable[[int], None], processes: int | None = None) -> Filled:
    """Fill from all events up to `task.until`, in as many processes as there are cores and work for.

    Raises MissingEvent where the positions have gaps, ProcessFailed, and what `fill` raises.
    """
    if processes is None:
        cores = min(os.cpu_count() or 1, PROCESSES_LIMIT)
        processes = 1 + min(cores - 1, task.until // EVENTS_WORTH_A_PROCESS)
    rounds = -(-streams // (processes * STREAMS_IN_MEMORY)) or 1
    part_count = processes * rounds
    shares = [
        replace(task, parts=range(first, part_count, processes), part_count=part_count) for first in range(processes)
    ]
    done = [fill(shares[0], report)] if processes == 1 else in_processes(fill, shares, report)
    if (events := sum(each.events for each in done)) != task.until:
        raise MissingEvent(f"there are {events} events up to position {task.until}")
    late: dict[str, list[LedgerEvent]] = {}
    for each in done:
        for table, of_table in each.late.items():
            late.setdefault(table, []).extend(of_table)
    return Filled(events, late)


def in_processes(
    work: Callable[[Task, Callable[[int], None]], Result], tasks: Sequence[Task], report: Callable[[int], None]
) -> list[Result]:
    """Do each task in a process of its own, all at once; the results in the order of the tasks.

    `work` is a function of a module, so that it is found there; it reports numbers as it goes, which are passed on.
    Raises ProcessFailed.
    """
    context = multiprocessing.get_context("spawn")
    pipes: list[Pipe] = []
    running = []
    for task in tasks:
        ours, theirs = context.Pipe()
        process = context.Process(target=_run, args=(work, task, theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        running.append(process)
    try:
        results = _gather(pipes, report)
        return [results[pipe] for pipe in pipes]
    finally:
        for process in running:
            process.terminate()
            process.join()


def _gather(pipes: list[Pipe], report: Callable[[int], None]) -> dict[Pipe, Any]:
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


def _run(work: Callable[[Any, Callable[[int], None]], Any], task: Any, pipe: Pipe) -> None:
    """What a process of its own does: numbers while it goes, then what came of it, or what went wrong, in words."""
    gc.disable()  # its objects have no cycles, so collecting them is wasted
    try:
        result = work(task, lambda number: pipe.send(("progress", number)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the process that started this one says it
        pipe.send(("failure", f"{type(error).__name__}: {error}"))
    else:
        pipe.send(("result", result))
