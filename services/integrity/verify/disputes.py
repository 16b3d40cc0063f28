"""Checks disputes beside the charges that they are about: both are streams of their own.

What one stream says of another is gathered, up to a limit, and then looked up at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from projections.declaration import LedgerEvent
from services.dispute.events import DisputeOpened, DisputeResolved
from services.integrity.findings import BEHIND_EVENTS, Findings, event_name
from services.integrity.verify.rows import EventsCheck, Stream
from services.ledger.mapper import UnreadableEvent, decode_event
from services.postgres.sql import Queries
from services.subscription.events import ChargeReversed, GenerationCharged

STATEMENTS_AT_ONCE = 1_000


class _Statement(NamedTuple):
    """What an event says of another stream, and the event itself as findings name it."""

    position: int
    name: str
    event: Any
    stream_id: UUID
    other_id: UUID
    """The stream that it is about."""


class DisputesCheck(EventsCheck):
    """Checks that each dispute is about a charge, and that upheld disputes and reversals belong to each other.

    Its findings stand behind those of single events: where one stream was changed, the other one is as it was.
    """

    event_types = (DisputeOpened, DisputeResolved, ChargeReversed)

    def __init__(self, connection: Connection[Any], queries: Queries, findings: Findings) -> None:
        self._connection = connection
        self._queries = queries
        self._findings = findings
        self._opened: list[_Statement] = []
        self._upheld: list[tuple[_Statement, DisputeOpened]] = []
        self._reversals: list[_Statement] = []

    def take(self, stream: Stream, event: LedgerEvent, row: Sequence[Any]) -> None:
        """Note what the event says of another stream."""
        said, id = event.event, UUID(bytes=stream.id)
        match said:
            case DisputeOpened():
                self._opened.append(_Statement(event.position, event_name(row), said, id, said.subscription_id))
            case DisputeResolved(outcome="upheld"):
                about = stream.state
                opened = DisputeOpened(
                    about.subscription_id, about.generation_id, about.charge_version, about.reason, about.note
                )
                upheld = _Statement(event.position, event_name(row), said, id, about.subscription_id)
                self._upheld.append((upheld, opened))
            case ChargeReversed():
                self._take_reversal(event.position, event_name(row), said, id)
            case _:
                pass
        if len(self._opened) + len(self._upheld) + len(self._reversals) >= STATEMENTS_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Look up what the statements so far are about."""
        self._check_opened()
        self._check_upheld()
        self._check_reversals()

    def _take_reversal(self, position: int, name: str, reversal: ChargeReversed, id: UUID) -> None:
        try:
            dispute_id = UUID(reversal.dispute_id)
        except ValueError:
            self._findings.add(
                BEHIND_EVENTS + position, name, f"is of dispute {reversal.dispute_id!r}, which no dispute can be"
            )
        else:
            self._reversals.append(_Statement(position, name, reversal, id, dispute_id))

    def _check_opened(self) -> None:
        places = [(each.other_id, each.event.charge_version) for each in self._opened]
        for each, charge in zip(self._opened, self._events_at(places), strict=True):
            if not isinstance(charge, GenerationCharged) or charge.generation_id != each.event.generation_id:
                reason = f"version {each.event.charge_version} of {each.other_id} is no charge of {{}}"
                self._findings.add(BEHIND_EVENTS + each.position, each.name, reason.format(each.event.generation_id))
        self._opened.clear()

    def _check_upheld(self) -> None:
        charges = {
            "streams": [each.other_id for each, _ in self._upheld],
            "generations": [opened.generation_id for _, opened in self._upheld],
        }
        versions = self._rows("reversed_in", charges) if self._upheld else []
        places = [(each.other_id, version or 0) for (each, _), (version,) in zip(self._upheld, versions, strict=True)]
        for (each, opened), reversal in zip(self._upheld, self._events_at(places), strict=True):
            expected = (str(each.stream_id), opened.generation_id, each.event.credit_to)
            if not isinstance(reversal, ChargeReversed) or _said(reversal) != expected:
                reason = f"upholds the dispute, and {opened.generation_id} was not given back by it in {each.other_id}"
                self._findings.add(BEHIND_EVENTS + each.position, each.name, reason)
        self._upheld.clear()

    def _check_reversals(self) -> None:
        disputes = [each.other_id for each in self._reversals]
        opened = self._events_at([(id, 1) for id in disputes])
        resolved = self._events_at([(id, 2) for id in disputes])
        places = [
            (each.stream_id, getattr(beginning, "charge_version", 0))
            for each, beginning in zip(self._reversals, opened, strict=True)
        ]
        charges = self._events_at(places)
        for each, beginning, outcome, charge in zip(self._reversals, opened, resolved, charges, strict=True):
            if reason := _wrong_dispute(each, beginning, outcome, charge):
                self._findings.add(BEHIND_EVENTS + each.position, each.name, reason)
        self._reversals.clear()

    def _events_at(self, places: Sequence[tuple[UUID, int]]) -> list[Any]:
        """The events at versions of streams, in their order; None for one that is not there or cannot be read."""
        if not places:
            return []
        arguments = {"streams": [id for id, _ in places], "versions": [version for _, version in places]}
        return [_decoded(topic, state) for topic, state in self._rows("events_of_streams", arguments)]

    def _rows(self, query: str, arguments: Mapping[str, Any]) -> list[Any]:
        return self._connection.cursor(binary=True).execute(self._queries[query], arguments).fetchall()


def _said(reversal: ChargeReversed) -> tuple[str, str, str]:
    return reversal.dispute_id, reversal.generation_id, reversal.credit_to


def _wrong_dispute(reversal: _Statement, opened: Any, resolved: Any, charge: Any) -> str | None:
    """Say what is wrong with the dispute to which a reversal belongs, if anything is."""
    if not isinstance(opened, DisputeOpened):
        return f"gives credits back by dispute {reversal.other_id}, which is not there"
    if (opened.subscription_id, opened.generation_id) != (reversal.stream_id, reversal.event.generation_id):
        return f"gives credits back by dispute {reversal.other_id}, which is about another charge"
    if not isinstance(resolved, DisputeResolved) or resolved.outcome != "upheld":
        return f"gives credits back by dispute {reversal.other_id}, which was not upheld"
    if resolved.credit_to != reversal.event.credit_to:
        return f"gives credits to the {reversal.event.credit_to}, and its dispute says {resolved.credit_to}"
    decided = resolved.credits or getattr(charge, "credits", None)
    if reversal.event.credits != decided:
        return f"gives {reversal.event.credits} credits back, and its dispute comes to {decided}"
    return None


def _decoded(topic: str | None, state: bytes | None) -> Any:
    if topic is None or state is None:
        return None
    try:
        return decode_event(topic, state)
    except UnreadableEvent:
        return None
