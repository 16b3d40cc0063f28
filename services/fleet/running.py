"""Runs a what-if over all subscriptions, in processes, and writes what they find in the order of the ids.

    read where the ledger stands -> share the ids out -> replay -> write, range by range -> end

The file has its name once it is whole. Until then it is `FILE.unfinished`, and `FILE.unfinished.mark` says how far it
goes, so that a run that was cut short can go on.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct
from psycopg import Connection

from projections.rebuilding.processes import run_in_processes
from services.fleet.changes import CatalogueText, FleetChanges
from services.fleet.replaying import IdRange, Replayed, ReplayTask, replay_ranges
from services.fleet.run_file import RunEnd, RunHead, encode_line, read_head
from services.ledger.records import ChainedEvent
from services.postgres.database import connect
from services.postgres.sql import load_queries
from services.process.progress import ReportProgress

EVENTS_A_RANGE = 2_000
EVENTS_PER_PROCESS = 50_000
MAX_PROCESSES = 32


class EmptyLedger(RuntimeError):
    """There is nothing in the ledger to replay."""


class UnknownInRun(ValueError):
    """The changes name models or generations that the ledger does not know."""


class OtherRun(ValueError):
    """What is to be gone on with is a run of other changes, or of another ledger."""


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Mark(Struct, frozen=True):
    """How far an unfinished run goes: its size in bytes, the last id in it or passed over, and the sums so far."""

    size: int
    after: UUID | None
    lines: int
    difference_credits: int


class RunSummary(Struct, frozen=True):
    """What a run came to: what was replayed now, and what is in the file."""

    run_id: str
    position: int
    subscriptions: int
    events: int
    lines: int
    difference_credits: int


class FleetRun:
    """One run over the subscriptions of a schema; `today` is the configured catalogue."""

    def __init__(self, database_url: str, schema: str, today: CatalogueText, report: ReportProgress) -> None:
        self._database_url = database_url
        self._schema = schema
        self._today = today
        self._report = report
        self._queries = load_queries(__file__, "fleet.sql", schema=schema)

    def write(self, changes: FleetChanges, file: Path, *, resume: bool) -> RunSummary:
        """Write the run to the file, or go on with it where it was cut short.

        Raises EmptyLedger, UnknownInRun, OtherRun, NotARun, CatalogueError, ProcessFailed, BadEvent, OSError,
        psycopg.Error.
        """
        unfinished = Unfinished(file)
        with connect(self._database_url, autocommit=True) as connection:
            self._refuse_unknown(connection, changes)
            begun = unfinished.begun() if resume else None
            head, mark = begun or (self._snapshot(connection, changes), None)
            self._require_same(connection, head, changes)
            after = None if mark is None else mark.after
            ranges, total = self._ranges(connection, after)
        with unfinished.opened(head, mark) as writing:
            task = ReplayTask(
                self._database_url, self._schema, self._today, changes, head.position, head.refusals, ranges
            )
            subscriptions, events = self._replay(task, total, writing.put)
            end = writing.finish()
        return RunSummary(head.run_id, head.position, subscriptions, events, end.lines, end.difference_credits)

    def _refuse_unknown(self, connection: Connection[Any], changes: FleetChanges) -> None:
        catalogues = [self._today.load(), *([changes.catalogue.load()] if changes.catalogue else [])]
        models = {model.model for each in catalogues for card in each.rate_cards for model in card.models}
        plans = {plan.plan_id for each in catalogues for plan in each.plans}
        sought = sorted(changes.reprice.keys() - models)
        rows = connection.execute(self._queries["select_unknown_models"], {"models": sought}).fetchall()
        if rows:
            names = ", ".join(model for (model,) in rows)
            raise UnknownInRun(f"--reprice: no rate card and no charge has {names}")
        if changes.plan_id is not None and changes.plan_id not in plans:
            (has_subscribers,) = connection.execute(
                self._queries["has_subscribers"], {"plan_id": changes.plan_id}
            ).fetchone() or (False,)
            if not has_subscribers:
                raise UnknownInRun(f"--plan: no catalogue and no subscription has {changes.plan_id}")
        named = list(changes.without.names())
        arguments = {"subscriptions": [id for id, _ in named], "generations": [each for _, each in named]}
        rows = connection.execute(self._queries["select_unknown_generations"], arguments).fetchall()
        if rows:
            names = ", ".join(f"{id} {each}" if id else each for id, each in rows)
            raise UnknownInRun(f"--without: neither charged nor refused was {names}")

    def _snapshot(self, connection: Connection[Any], changes: FleetChanges) -> RunHead:
        row = connection.execute(self._queries["select_snapshot"]).fetchone()
        if row is None:
            raise EmptyLedger("the ledger has no events")
        position, stream_id, version, recorded_at, previous_hash, topic, state, refusals = row
        event = ChainedEvent(stream_id, version, topic, bytes(state), recorded_at, bytes(previous_hash), position)
        return RunHead(
            run_id=f"{changes.mark}{position}",
            position=position,
            event_hash=event.hash.hex(),
            recorded_at=recorded_at,
            refusals=refusals,
            changes=changes.described(),
            plan_id=changes.plan_id,
        )

    def _require_same(self, connection: Connection[Any], head: RunHead, changes: FleetChanges) -> None:
        if head.run_id != f"{changes.mark}{head.position}" or head.plan_id != changes.plan_id:
            raise OtherRun("the run to go on with is of other changes")
        if event_hash_at(connection, self._queries, head.position) != head.event_hash:
            raise OtherRun("the run to go on with is of another ledger")

    def _ranges(self, connection: Connection[Any], after: UUID | None) -> tuple[list[IdRange], int]:
        arguments = {"after": after, "events": EVENTS_A_RANGE}
        rows = connection.execute(self._queries["select_ranges"], arguments).fetchall()
        ends = [id for id, _ in rows]
        ranges = [
            IdRange(number, start, end) for number, (start, end) in enumerate(zip([after, *ends], ends, strict=False))
        ]
        return ranges, sum(events for _, events in rows)

    def _replay(self, task: ReplayTask, total: int, put: Callable[[Replayed], None]) -> tuple[int, int]:
        """Replay the ranges, each process every so many; put what they came to in order."""
        processes = max(1, min(os.cpu_count() or 1, MAX_PROCESSES, total // EVENTS_PER_PROCESS, len(task.ranges)))
        waiting: dict[int, Replayed] = {}
        subscriptions = events = following = 0

        def take(replayed: Replayed) -> None:
            nonlocal subscriptions, events, following
            subscriptions, events = subscriptions + replayed.subscriptions, events + replayed.events
            waiting[replayed.number] = replayed
            while (ready := waiting.pop(following, None)) is not None:
                put(ready)
                following += 1
            self._report("Replaying events", events, total)

        if processes == 1:
            replay_ranges(task, take)
        else:
            shares = [msgspec.structs.replace(task, ranges=task.ranges[first::processes]) for first in range(processes)]
            run_in_processes(replay_ranges, shares, take)
        assert not waiting, "every range was replayed"
        return subscriptions, events


class Unfinished:
    """The files of a run that is being written."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._path = file.with_name(f"{file.name}.unfinished")
        self._mark = file.with_name(f"{file.name}.unfinished.mark")

    def begun(self) -> tuple[RunHead, Mark] | None:
        """Return the head of a run that was cut short, and how far it goes; None where there is none to go on with.

        Raises NotARun, OSError.
        """
        try:
            mark = msgspec.json.decode(self._mark.read_bytes(), type=Mark)
            with self._path.open("rb") as opened:
                head = read_head(opened.readline())
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return (head, mark) if self._path.stat().st_size >= mark.size else None

    def opened(self, head: RunHead, mark: Mark | None) -> "Writing":
        """Begin the file with its head, or go on behind its mark."""
        return Writing(self._file, self._path, self._mark, head, mark)


class Writing:
    """Writes ranges in order; a context manager. Every range that was put is marked."""

    def __init__(self, file: Path, path: Path, mark_path: Path, head: RunHead, mark: Mark | None) -> None:
        self._file, self._path, self._mark_path = file, path, mark_path
        self._digest: _Digest = sha256()
        if mark is None:
            mark_path.unlink(missing_ok=True)
            self._opened: BinaryIO = path.open("wb")
            self._mark = Mark(0, None, 0, 0)
            self._append(encode_line(head), None, 0, 0)
        else:
            self._mark = mark
            self._opened = path.open("r+b")
            for block in _blocks(path, mark.size):
                self._digest.update(block)
            self._opened.truncate(mark.size)
            self._opened.seek(mark.size)

    def __enter__(self) -> "Writing":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._opened.close()

    def put(self, replayed: Replayed) -> None:
        """Write what a range came to."""
        self._append(replayed.text, replayed.until, replayed.lines, replayed.difference_credits)

    def finish(self) -> RunEnd:
        """Write the end, and give the file its name."""
        end = RunEnd(self._mark.lines, self._mark.difference_credits, self._digest.hexdigest())
        self._opened.write(encode_line(end))
        self._opened.flush()
        os.fsync(self._opened.fileno())
        self._path.replace(self._file)
        self._mark_path.unlink(missing_ok=True)
        return end

    def _append(self, text: bytes, after: UUID | None, lines: int, difference_credits: int) -> None:
        self._opened.write(text)
        self._opened.flush()
        self._digest.update(text)
        was = self._mark
        self._mark = Mark(was.size + len(text), after, was.lines + lines, was.difference_credits + difference_credits)
        beside = self._mark_path.with_name(f"{self._mark_path.name}.new")
        beside.write_bytes(msgspec.json.encode(self._mark))
        beside.replace(self._mark_path)


def event_hash_at(connection: Connection[Any], queries: dict[str, bytes], position: int) -> str | None:
    """Return the hash of the event at a position, in hexadecimal; None where there is none."""
    row: Sequence[Any] | None = connection.execute(queries["select_event_at"], {"position": position}).fetchone()
    if row is None:
        return None
    stream_id, version, topic, state, recorded_at, previous_hash, at = row
    return ChainedEvent(stream_id, version, topic, bytes(state), recorded_at, bytes(previous_hash), at).hash.hex()


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as opened:
        while size and (block := opened.read(min(size, 1 << 20))):
            size -= len(block)
            yield block
