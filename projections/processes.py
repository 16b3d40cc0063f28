"""Spreads a fill over processes, since folding keeps a core busy: each takes a share of the streams."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait

from msgspec.structs import replace

from projections.fold import Filled, FillTask, fill, fill_in_process
from projections.ledger_events import LedgerEvent, MissingEvent

PROCESSES_LIMIT = 4
EVENTS_WORTH_A_PROCESS = 100_000
STREAMS_IN_MEMORY = 250_000
"""How many states a process keeps at a time; about 300 MB. Where there are more, it reads the ledger more than once."""


class FillFailed(RuntimeError):
    """A process of the rebuild ended with an error."""


def fill_parts(task: FillTask, streams: int, report: Callable[[int], None], processes: int | None = None) -> Filled:
    """Fill from all events up to `task.until`, in as many processes as there are cores and work for.

    Raises MissingEvent where the positions have gaps, FillFailed, and what `fill` raises.
    """
    if processes is None:
        cores = min(os.cpu_count() or 1, PROCESSES_LIMIT)
        processes = 1 + min(cores - 1, task.until // EVENTS_WORTH_A_PROCESS)
    rounds = -(-streams // (processes * STREAMS_IN_MEMORY)) or 1
    part_count = processes * rounds
    shares = [
        replace(task, parts=range(first, part_count, processes), part_count=part_count) for first in range(processes)
    ]
    filled = fill(shares[0], report) if processes == 1 else _fill_beside(shares, report)
    if filled.events != task.until:
        raise MissingEvent(f"there are {filled.events} events up to position {task.until}")
    return filled


def _fill_beside(shares: list[FillTask], report: Callable[[int], None]) -> Filled:
    context = multiprocessing.get_context("spawn")
    pipes: list[Pipe] = []
    running = []
    for share in shares:
        ours, theirs = context.Pipe()
        process = context.Process(target=_run, args=(share, theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        running.append(process)
    try:
        return _gather(pipes, report)
    finally:
        for process in running:
            process.terminate()
            process.join()


def _gather(pipes: list[Pipe], report: Callable[[int], None]) -> Filled:
    events, reversals = 0, list[LedgerEvent]()
    waiting = list(pipes)
    while waiting:
        for pipe in wait(waiting):
            assert isinstance(pipe, Pipe)
            try:
                message = pipe.recv()
            except EOFError:
                raise FillFailed("a process of the rebuild ended before it was done") from None
            if isinstance(message, int):
                report(message)
            elif isinstance(message, Filled):
                events += message.events
                reversals += message.reversals
                waiting.remove(pipe)
            else:
                raise FillFailed(str(message))
    return Filled(events, reversals)


def _run(share: FillTask, pipe: Pipe) -> None:
    """What a process of its own does: numbers while it goes, then what came of it, or what went wrong, in words."""
    try:
        pipe.send(fill_in_process(share, pipe.send))
    except Exception as error:  # noqa: BLE001 - whatever it is, the process that started this one says it
        pipe.send(f"{type(error).__name__}: {error}")
