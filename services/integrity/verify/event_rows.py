"""The check of the read models whose rows come from single events: charges, usage, disputes."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from projections.charges import project as charges
from projections.disputes import project as disputes
from projections.usage import project as usage
from services.dispute.events import DisputeOpened, DisputeResolved
from services.integrity.findings import BEHIND_EVENTS, Findings, event_name
from services.integrity.verify.rows import Rows, Stream
from services.ledger.stored_columns import instant, sent_date, sent_instant
from services.subscription.events import ChargeReversed, GenerationCharged


class ChargesCheck:
    """One row a charge, with the version that gave it back, where one did."""

    wants = frozenset((GenerationCharged, ChargeReversed))

    def __init__(self, rows: Rows, findings: Findings) -> None:
        self._rows = rows
        self._findings = findings
        self._marked: dict[int, GenerationCharged] = {}
        self.given_back: GenerationCharged | None = None
        """The charge that the event taken last gave back."""

    def begin(self, stream: Stream) -> None:
        """Whatever comes before this stream belongs to none."""
        self._rows.skip_to(stream.id)
        self._marked.clear()

    def take(self, stream: Stream, event: Any, row: Sequence[Any]) -> None:
        """Find the row of a charge, and the charge of a reversal."""
        self.given_back = None
        if isinstance(event, GenerationCharged):
            self._find_row(stream, event, row)
        elif isinstance(event, ChargeReversed):
            charge = self._marked.pop(stream.version, None)
            if charge is None or charge.generation_id != event.generation_id:
                reason = f"no charges row of {event.generation_id} says that it was given back here"
                self._findings.add(stream.position, event_name(row), reason)
                return
            self.given_back = charge
            if charge.credits != event.credits:
                reason = f"gives {event.credits} credits back for a charge of {charge.credits}"
                self._findings.add(stream.position, event_name(row), reason)

    def end(self, stream: Stream) -> None:
        """Rows that are left have no charge; marks that are left have no reversal."""
        for row in self._rows.of(stream.id):
            if not stream.is_broken:
                self._rows.say_surplus(row)
        for version, charge in self._marked.items():
            if not stream.is_broken:
                self._say_wrong_mark(stream, charge, version)

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)

    def _find_row(self, stream: Stream, event: GenerationCharged, row: Sequence[Any]) -> None:
        right = charges.project(event, stream.version)
        assert isinstance(right, charges.ChargeRow)
        rows = self._rows
        while rows.next is not None and rows.next[0] == stream.id and rows.next[1] < right.version:
            rows.say_surplus(rows.advance())
        if rows.next is None or rows.next[0] != stream.id or rows.next[1] != right.version:
            self._findings.add(stream.position, event_name(row), "has no row in charges")
            return
        _, _, generation_id, reversed_in_version = rows.advance()
        if generation_id != right.generation_id:
            self._findings.add(stream.position, event_name(row), f"its charges row is of generation {generation_id}")
        if reversed_in_version is None:
            return
        if reversed_in_version <= stream.version or reversed_in_version in self._marked:
            self._say_wrong_mark(stream, event, reversed_in_version)
        else:
            self._marked[reversed_in_version] = event

    def _say_wrong_mark(self, stream: Stream, charge: GenerationCharged, version: int) -> None:
        subject = f"charges row of {UUID(bytes=stream.id)} ({charge.generation_id})"
        self._findings.add(
            BEHIND_EVENTS + stream.position, subject, f"says that version {version} gave it back, which is not so"
        )


class UsageCheck:
    """Sums of a stream, as far as the projection says that it has come."""

    wants = frozenset((GenerationCharged, ChargeReversed))

    def __init__(self, rows: Rows, charges_check: ChargesCheck, until: int) -> None:
        self._rows = rows
        self._charges = charges_check
        self._until = until
        self._right: dict[usage.UsageKey, usage.UsageCounts] = {}
        self._is_known = True

    def begin(self, stream: Stream) -> None:
        """Nothing is counted yet."""
        self._right, self._is_known = {}, True

    def take(self, stream: Stream, event: Any, row: Sequence[Any]) -> None:
        """Count. Runs after the check of charges, which finds what was given back."""
        if stream.position > self._until:
            return
        if isinstance(event, GenerationCharged):
            key, added = usage.charged(event, instant(stream.recorded_at))
        else:
            if (original := self._charges.given_back) is None:
                self._is_known = False
                return
            key, added = usage.reversed_charge(event, instant(stream.recorded_at), original)
        self._right[key] = usage.add(self._right[key], added) if key in self._right else added

    def end(self, stream: Stream) -> None:
        """Compare."""
        rows = {tuple(row[1:4]): row for row in self._rows.of(stream.id)}
        if stream.is_broken or not self._is_known:
            return
        columns = ("day", "model", "asset_type", "charges", "credits", "reversed_credits")
        for key, counts in self._right.items():
            place = (sent_date(key.day), key.model, key.asset_type)
            row = rows.pop(place, None)
            expected = (*place, counts.charges, counts.credits, counts.reversed_credits)
            self._rows.compare(stream, columns, row[1:] if row else None, expected)
        for row in rows.values():
            self._rows.say_surplus((row[0], row[2], row[3]))

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)


class DisputesCheck:
    """One row a dispute, as far as the projection says that it has come."""

    wants = frozenset((DisputeOpened, DisputeResolved))

    def __init__(self, rows: Rows, until: int) -> None:
        self._rows = rows
        self._until = until
        self._right: dict[str, Any] = {}

    def begin(self, stream: Stream) -> None:
        """Nothing is opened yet."""
        self._right = {}

    def take(self, stream: Stream, event: Any, row: Sequence[Any]) -> None:
        """Project."""
        if stream.position > self._until:
            return
        if isinstance(event, DisputeOpened):
            new = disputes.opened(UUID(bytes=stream.id), event, instant(stream.recorded_at), stream.position)
            self._right = {
                "position": new.position,
                "version": 1,
                "opened_at": sent_instant(new.opened_at),
                "subscription_id": new.subscription_id.bytes,
                "generation_id": new.generation_id,
                "reason": new.reason,
                "status": "open",
            }
        elif isinstance(event, DisputeResolved) and self._right:
            moved = disputes.resolved(UUID(bytes=stream.id), event, stream.version)
            self._right |= {"version": moved.version, "status": moved.status}

    def end(self, stream: Stream) -> None:
        """Compare."""
        rows = self._rows.of(stream.id)
        if stream.is_broken:
            return
        if not self._right:
            for row in rows:
                self._rows.say_surplus(row)
            return
        self._rows.compare(stream, tuple(self._right), rows[0][1:] if rows else None, tuple(self._right.values()))

    def finish(self) -> None:
        """Whatever is left belongs to no stream."""
        self._rows.skip_to(None)
