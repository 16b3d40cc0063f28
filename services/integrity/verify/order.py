"""Checks the ledger in its order: positions without gaps, and the checkpoints over them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from psycopg import Connection

from services.integrity.checkpoints import TAG_BYTES, Checkpoint
from services.integrity.findings import Findings, event_name
from services.integrity.merkle import GrowingTree
from services.integrity.verify.stored_columns import instant_of, scan, try_hash
from services.ledger.hashing import NO_HASH
from services.postgres.sql import Queries

REPORT_EVENTS = 10_000


class Trust(Struct, frozen=True):
    """What is known of the checkpoints from outside the database.

    `key_id` must have signed the newest one (None: no key is known here). `receipts` are, by ledger, the number and the
    hash of a checkpoint that must exist. `broken_key_ids` are keys that may sign though the checkpoint before does not
    name them, since its key was lost.
    """

    key_id: str | None = None
    receipts: Mapping[bytes, tuple[int, str]] = {}
    broken_key_ids: frozenset[str] = frozenset()


class OrderResult(Struct, frozen=True):
    """The counts of a check in order: events, checkpoints, events that they cover; and the keys that signed."""

    events: int
    last_position: int
    checkpoints: int
    covered: int
    key_ids: tuple[str, ...]


class OrderCheck:
    """Reads the ledger once, in its order."""

    def __init__(
        self, connection: Connection[Any], queries: Queries, findings: Findings, report: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._findings = findings
        self._report = report

    def run(self, trust: Trust) -> OrderResult:
        """Check positions, checkpoints, the head row and the positions of projections. Raises psycopg.Error."""
        rows = scan(self._connection, self._queries["scan_checkpoints"], "checkpoints")
        checkpoints = CheckpointCheck(rows, self._findings, trust, self._first_leaf())
        last = events = 0
        for row in scan(self._connection, self._queries["scan_in_order"], "in_order"):
            position = row[0]
            events += 1
            if position != last + 1:
                self._add_gap(row, last)
            last = max(last, position)
            leaf = try_hash(row)
            if leaf is None:
                self._findings.add(position, event_name(row), "has a column that no event can have")
            checkpoints.take(position, leaf or NO_HASH, row)
            if events % REPORT_EVENTS == 0:
                self._report(REPORT_EVENTS)
        self._report(events % REPORT_EVENTS)
        self._check_head(last)
        self._check_positions(last)
        checkpoints.end(last)
        return OrderResult(events, last, checkpoints.count, checkpoints.covered, tuple(checkpoints.key_ids))

    def _first_leaf(self) -> bytes:
        row = self._connection.cursor(binary=True).execute(self._queries["first_event"]).fetchone()
        return (try_hash(row) if row else None) or NO_HASH

    def _add_gap(self, row: Sequence[Any], last: int) -> None:
        position = row[0]
        if position > last:
            missing = f"event {last + 1}" if position == last + 2 else f"events {last + 1} to {position - 1}"
            self._findings.add(last + 1, missing, "not there, though later ones are")
        else:
            reason = "at a position that no event can have, or that another one has"
            self._findings.add(position, event_name(row), reason)

    def _check_head(self, last: int) -> None:
        heads = [head for (head,) in self._connection.execute(self._queries["select_heads"])]
        if heads != [last]:
            stated = ", ".join(map(str, heads)) or "nothing"
            self._findings.add(
                last + 1, f"event {last + 1}", f"the head row says that the last event is {stated}, but it is {last}"
            )

    def _check_positions(self, last: int) -> None:
        for projection, position in self._connection.execute(self._queries["select_positions"]):
            if not 0 <= position <= last:
                reason = f"says that it has taken event {position}, but the last one is {last}"
                self._findings.add(last + 1, f"the position of {projection}", reason)


class CheckpointCheck:
    """Checks the checkpoints beside the events, both in the order of the ledger."""

    def __init__(self, rows: Iterator[Any], findings: Findings, trust: Trust, first_leaf: bytes) -> None:
        self._rows = rows
        self._findings = findings
        self._trust = trust
        self._first_leaf = first_leaf
        self._receipt = trust.receipts.get(first_leaf)
        self.count = self.covered = 0
        self.key_ids: dict[str, None] = {}
        self._before: Checkpoint | None = None
        self._open = self._next()

    def take(self, position: int, leaf: bytes, row: Sequence[Any]) -> None:
        """Check the next event against the checkpoint that covers it."""
        while self._open is not None and position > self._open.checkpoint.to_position:
            self._close(self._open)
            self._open = self._next()
        if self._open is not None and position >= self._open.checkpoint.from_position:
            self._open.take(position, leaf, row)

    def end(self, last: int) -> None:
        """Check what is left when the ledger has ended at position `last`."""
        while self._open is not None:
            if self._open.checkpoint.to_position > last:
                reason = f"not there, though checkpoint {self._open.checkpoint.number} covers it"
                self._findings.add(last + 1, f"event {last + 1}", reason)
            self._close(self._open)
            self._open = self._next()
        self._check_trust(last)

    def _next(self) -> "OpenCheckpoint | None":
        row = next(self._rows, None)
        if row is None:
            return None
        number, begin, end, made_at, *hashes, tags = row
        try:
            checkpoint = Checkpoint(number, begin, end, instant_of(made_at), *hashes)
        except OverflowError:
            self._findings.add(begin, f"checkpoint {number}", "its instant is one that no calendar has")
            checkpoint = Checkpoint(number, begin, end, datetime.min.replace(tzinfo=UTC), *hashes)
        self.count += 1
        if self._before is None and self._receipt is None:
            self._receipt = self._trust.receipts.get(checkpoint.ledger)
        self._check_chain(checkpoint)
        self._before = checkpoint
        return OpenCheckpoint(checkpoint, tags)

    def _check_chain(self, checkpoint: Checkpoint) -> None:
        """Check a checkpoint's signature, its number, and its link to the one before it."""
        before, name, place = self._before, f"checkpoint {checkpoint.number}", checkpoint.from_position
        self.key_ids[checkpoint.key_id] = None
        if not checkpoint.is_signed:
            self._findings.add(place, name, "its signature is not that of its key over what it says")
        expected = (before.number + 1, before.to_position + 1, before.hash) if before else (1, 1, NO_HASH)
        if (checkpoint.number, checkpoint.from_position, checkpoint.previous_hash) != expected:
            after = f"checkpoint {before.number}" if before else "nothing"
            self._findings.add(place, name, f"does not follow on {after}")
        allowed = self._trust.broken_key_ids | {before.next_key_id if before else checkpoint.key_id}
        if checkpoint.key_id not in allowed:
            reason = f"signed by key {checkpoint.key_id}, for which the checkpoint before it does not vouch"
            self._findings.add(place, name, reason)
        if self._receipt is not None:
            number, receipt_hash = self._receipt
            if checkpoint.number == number and checkpoint.hash.hex() != receipt_hash:
                self._findings.add(place, name, "is another one than was made here")

    def _close(self, done: "OpenCheckpoint") -> None:
        """Compare a checkpoint, all of whose events were read, with the tree over them."""
        checkpoint, name = done.checkpoint, f"checkpoint {done.checkpoint.number}"
        self.covered += done.tree.size
        if done.tree.root() != checkpoint.root or done.tree.size != checkpoint.event_count:
            for position, subject in done.changed:
                self._findings.add(position, subject, f"is not what {name} was signed over")
            begin, end = checkpoint.from_position, checkpoint.to_position
            reason = f"its root is not that of the events {begin} to {end}"
            self._findings.add(max(begin, end), name, reason)
        elif done.changed or len(done.tags) != TAG_BYTES * checkpoint.event_count:
            self._findings.add(checkpoint.from_position, name, "its leaf tags are not those of its events")
        elif checkpoint.ledger != self._first_leaf:
            self._findings.add(checkpoint.from_position, name, "is of a ledger with another first event")

    def _check_trust(self, last: int) -> None:
        """Compare the newest checkpoint with what is known from outside the database."""
        newest, key_id = self._before, self._trust.key_id
        if newest is not None and key_id is not None and newest.key_id != key_id:
            reason = f"signed by key {newest.key_id}, but the key kept here is {key_id}"
            self._findings.add(newest.from_position, f"checkpoint {newest.number}", reason)
        if self._receipt is not None and (newest is None or newest.number < self._receipt[0]):
            there_are = newest.number if newest else "none"
            reason = f"not there, though it was made here: the newest is {there_are}"
            self._findings.add(last + 1, f"checkpoint {self._receipt[0]}", reason)


class OpenCheckpoint:
    """A checkpoint, and the tree over those of its events that were read so far."""

    def __init__(self, checkpoint: Checkpoint, tags: bytes) -> None:
        self.checkpoint = checkpoint
        self.tags = tags
        self.tree = GrowingTree()
        self.changed: list[tuple[int, str]] = []
        """Position and name of the first events that do not fit their tags."""

    def take(self, position: int, leaf: bytes, row: Sequence[Any]) -> None:
        """Add the next of its events."""
        self.tree.append(leaf)
        at = TAG_BYTES * (position - self.checkpoint.from_position)
        if leaf[:TAG_BYTES] != self.tags[at : at + TAG_BYTES] and len(self.changed) < 10:
            self.changed.append((position, event_name(row)))
