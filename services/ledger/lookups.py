"""What a transaction reads before it appends: all that its commands are about, or whether a speculation holds.

Each kind takes one query for the whole batch. A cached head is used where it is at the version that the locked balance
row names. One that another process has moved on is caught up from its tail; one that is not cached, or far behind, is
loaded from snapshot and tail.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

from services.dispute.commands import DISPUTE_COMMANDS, OpenDispute
from services.idempotency import find_arguments, record_of, record_statements
from services.ledger.deciding import Speculation
from services.ledger.heads import HeadCache
from services.ledger.known import Known
from services.ledger.mapper import SNAPSHOT_TOPIC, read_event
from services.ledger.recorder import chained_event
from services.ledger.records import ChainedEvent, StreamHead, extend
from services.ledger.snapshots import read_snapshot
from services.ledger.submission import Generation, Submission, generations
from services.postgres.arrays import Array, Bigints, Texts, Uuids
from services.postgres.session import PendingResult, Session
from services.postgres.sql import Queries, load_queries
from services.subscription.commands import StartSubscription

FAR_BEHIND = 100
"""Events. Where another process has had the stream for so long, a snapshot may be nearer than the cached head."""

T = TypeVar("T")


class BrokenStream(RuntimeError):
    """The stored events of a stream do not lead to the version that its balance row names."""


class Lookups:
    """The queries of one schema, for a session in whose transaction they run. Every method raises psycopg.Error."""

    def __init__(self, queries: Queries, schema: str, cache: HeadCache) -> None:
        self._queries = queries
        self._charges = load_queries("projections.charges", "charges.sql", schema=schema)
        self._disputed_charges = load_queries("projections.disputed_charges", "disputed_charges.sql", schema=schema)
        self._records = record_statements(schema)
        self._cache = cache

    def load(self, session: Session, submissions: Sequence[Submission]) -> Known:
        """Lock the streams of the commands, and read what is stored of all that they are about."""
        locked = session.execute(
            self._queries["lock_streams"], {"ids": Uuids([*{each.subscription_id for each in submissions}])}
        )
        found = _find(session, self._charges["find_generations"], generations(submissions), _generation_arrays)
        records = _find(session, self._records["find_records"], _keys(submissions), find_arguments)
        events = _find(session, self._queries["find_events"], _lost_events(submissions), _version_arrays)
        disputes = _find(session, self._queries["select_tails"], _dispute_streams(submissions), _version_arrays)
        disputed = _disputed_generations(submissions)
        open_disputes = _find(session, self._disputed_charges["find_open_disputes"], disputed, _generation_arrays)
        heads, defects = self._load_heads(session, dict(locked.rows()))
        return Known(
            heads,
            defects,
            generations=_by_generation(_rows(found)),
            disputes=_by_stream(map(chained_event, _rows(disputes))),
            open_disputes={dispute_id: (id, generation_id) for id, generation_id, dispute_id in _rows(open_disputes)},
            idempotency_records={record.place: record for record in map(record_of, _rows(records))},
            positions={event.hash: event.position or 0 for event in map(chained_event, _rows(events))},
            test_clocks=self._read_test_clocks(session, heads, submissions),
        )

    def validate(self, session: Session, speculation: Speculation) -> None:
        """Lock the streams, and have the transaction fail unless the speculation holds."""
        versions = _version_arrays([*speculation.versions.items()])
        session.execute(self._queries["confirm_versions"], versions)
        if speculation.uncharged:
            session.execute(self._charges["confirm_new"], _generation_arrays(speculation.uncharged))

    def _load_heads(
        self, session: Session, versions: Mapping[UUID, int]
    ) -> tuple[dict[UUID, StreamHead], dict[UUID, Exception]]:
        """Return the heads of the streams at these versions; those that cannot be loaded have a defect instead."""
        cached = {id: self._cache.get(id) for id in versions}
        heads = {id: head for id, head in cached.items() if head is not None and head.version <= versions[id]}
        defects: dict[UUID, Exception] = {}
        self._load_snapshots(session, heads, versions)
        self._catch_up(session, heads, versions, defects)
        for id, version in versions.items():
            if id not in defects and _version(heads, id) != version:
                defects[id] = BrokenStream(f"{id}: events to {_version(heads, id)}, balance at {version}")
        for id in defects:
            heads.pop(id, None)
        return heads, defects

    def _load_snapshots(self, session: Session, heads: dict[UUID, StreamHead], versions: Mapping[UUID, int]) -> None:
        """Put the newest snapshots in the place of heads that are missing or far behind."""
        far = [id for id, version in versions.items() if id not in heads or version - heads[id].version > FAR_BEHIND]
        if not far:
            return
        arguments = {"ids": Uuids(far), "topic": SNAPSHOT_TOPIC}
        for id, state in session.execute(self._queries["select_snapshots"], arguments).rows():
            snapshot = read_snapshot(id, state)
            if snapshot is not None and snapshot.version > _version(heads, id):
                heads[id] = snapshot

    def _catch_up(
        self,
        session: Session,
        heads: dict[UUID, StreamHead],
        versions: Mapping[UUID, int],
        defects: dict[UUID, Exception],
    ) -> None:
        """Extend the heads by the events after them; where that fails, note the defect."""
        behind = [(id, at) for id, version in versions.items() if (at := _version(heads, id)) < version]
        if not behind:
            return
        rows = session.execute(self._queries["select_tails"], _version_arrays(behind)).rows()
        for id, tail in groupby(map(chained_event, rows), key=lambda stored: stored.originator_id):
            try:
                head = extend(heads.get(id), map(read_event, tail))
            except Exception as defect:  # noqa: BLE001 - it is the answer of every command on this stream
                defects[id] = defect
            else:
                assert head is not None
                heads[id] = head

    def _read_test_clocks(
        self, session: Session, heads: Mapping[UUID, StreamHead], submissions: Sequence[Submission]
    ) -> dict[str, datetime]:
        ids = {head.state.test_clock_id for head in heads.values()} | {
            each.command.test_clock_id for each in submissions if isinstance(each.command, StartSubscription)
        }
        clock_ids = [id for id in ids if id is not None]
        result = _find(session, self._queries["lock_clocks"], clock_ids, lambda ids: {"ids": Texts(ids)})
        return dict(_rows(result))


def _find(
    session: Session, query: bytes, sought: Sequence[T], arguments: Callable[[Sequence[T]], Mapping[str, Array]]
) -> PendingResult | None:
    return session.execute(query, arguments(sought)) if sought else None


def _rows(result: PendingResult | None) -> list[Any]:
    return [] if result is None else result.rows()


def _version(heads: Mapping[UUID, StreamHead], id: UUID) -> int:
    return heads[id].version if id in heads else 0


def _keys(submissions: Sequence[Submission]) -> list[tuple[str, str]]:
    return [(each.metadata.key_id, each.idempotency.key) for each in submissions if each.idempotency is not None]


def _lost_events(submissions: Sequence[Submission]) -> list[tuple[UUID, int]]:
    events = [attempt.event for each in submissions for attempt in each.lost]
    return [(event.originator_id, event.originator_version) for event in events]


def _dispute_streams(submissions: Sequence[Submission]) -> list[tuple[UUID, int]]:
    """Return the streams of the disputes, each with the version 0, to be read from their beginning."""
    return [*{(each.command.dispute_id, 0) for each in submissions if isinstance(each.command, DISPUTE_COMMANDS)}]


def _disputed_generations(submissions: Sequence[Submission]) -> list[Generation]:
    """Return the generations whose charges are to be disputed."""
    commands = ((each.subscription_id, each.command) for each in submissions)
    return [(id, command.generation_id) for id, command in commands if isinstance(command, OpenDispute)]


def _generation_arrays(sought: Sequence[Generation]) -> dict[str, Array]:
    return {"ids": Uuids([id for id, _ in sought]), "generation_ids": Texts([name for _, name in sought])}


def _version_arrays(sought: Sequence[tuple[UUID, int]]) -> dict[str, Array]:
    return {"ids": Uuids([id for id, _ in sought]), "versions": Bigints([version for _, version in sought])}


def _by_generation(rows: Iterable[Sequence[Any]]) -> dict[Generation, list[ChainedEvent]]:
    found: dict[Generation, list[ChainedEvent]] = {}
    for *event, generation_id in rows:
        stored = chained_event(event)
        found.setdefault((stored.originator_id, generation_id), []).append(stored)
    return found


def _by_stream(events: Iterable[ChainedEvent]) -> dict[UUID, list[ChainedEvent]]:
    return {id: [*stream] for id, stream in groupby(events, key=lambda event: event.originator_id)}
