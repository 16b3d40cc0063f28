"""What a batch looks up before it decides, each in one query: earlier charges, disputes, kept answers, lost commits."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from msgspec import Struct

from projections.charges.view import Charge, charge_view
from services.dispute.commands import DISPUTE_COMMANDS
from services.ledger.disputes import fold_disputes
from services.ledger.mapper import read_event
from services.ledger.recorder import chained_event
from services.ledger.records import ChainedEvent, DisputeHead
from services.ledger.submission import Answer, Submission
from services.postgres.arrays import Array, Bigints, Texts, Uuids
from services.postgres.session import Answers, Session
from services.postgres.sql import Queries
from services.subscription.commands import ChargeGeneration
from services.subscription.events import GenerationCharged

_WITH_GENERATION = (ChargeGeneration, *DISPUTE_COMMANDS)


class OriginalCharge(Struct, frozen=True):
    """A charge that was made before: stored, or earlier in this batch."""

    event: GenerationCharged
    view: Callable[[int], Charge]
    """The charge, given the position before the batch's first event."""
    version: int
    is_reversed: bool = False


class Lookups:
    """What is stored of what a batch asks for; nothing, as long as it was not asked."""

    def __init__(self) -> None:
        self._charges: dict[tuple[UUID, str], Sequence[Any]] = {}
        self._answers: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self._positions: dict[bytes, int] = {}
        self._disputes: dict[UUID, list[ChainedEvent]] = {}

    def ask(
        self, ledger: Queries, charges: Queries, records: Queries, session: Session, batch: Sequence[Submission]
    ) -> None:
        """Say all the queries at once; they are answered when the first result is waited for. Raises psycopg.Error."""
        find = partial(_find, session)
        self._sent_charges = find(charges["find_charges"], generations(batch), ids=Uuids, generation_ids=Texts)
        self._sent_answers = find(records["find_records"], _keys(batch), key_ids=Texts, keys=Texts)
        self._sent_events = find(ledger["find_events"], _lost_events(batch), ids=Uuids, versions=Bigints)
        self._sent_disputes = find(ledger["select_tails"], _disputes(batch), ids=Uuids, versions=Bigints)

    def read(self) -> None:
        """Take in what was found. Raises psycopg.Error."""
        for row in _rows(self._sent_charges):
            self._charges[row[0], row[7]] = row
        for key_id, key, request_hash, answer, _answered_at in _rows(self._sent_answers):
            self._answers[key_id, key] = (bytes(request_hash), bytes(answer))
        for row in _rows(self._sent_events):
            stored = chained_event(row)
            self._positions[stored.hash] = stored.position or 0
        for stored in map(chained_event, _rows(self._sent_disputes)):
            self._disputes.setdefault(stored.originator_id, []).append(stored)

    def charge(self, subscription_id: UUID, generation_id: str) -> OriginalCharge | None:
        """The charge of a generation. Raises UnreadableEvent where it is stored but cannot be read."""
        row = self._charges.get((subscription_id, generation_id))
        return None if row is None else _stored_charge(row[:7], is_reversed=row[8])

    def dispute(self, dispute_id: UUID) -> DisputeHead | None:
        """The head of a dispute; None where there is no such dispute. Raises UnreadableEvent."""
        return fold_disputes(self._disputes.get(dispute_id, ())).get(dispute_id)

    def answer(self, key_id: str, key: str) -> tuple[bytes, bytes] | None:
        """What was answered under a key: the hash of the request, and the answer as it was rendered."""
        return self._answers.get((key_id, key))

    def lost_answer(self, submission: Submission) -> Answer | None:
        """The answer of the first attempt that was committed after all, though its outcome had been lost."""
        for attempt in submission.lost:
            if (position := self._positions.get(attempt.event.hash)) is not None:
                return attempt.answer(position)
        return None


def _find(session: Session, query: bytes, wanted: Sequence[tuple[Any, Any]], **kinds: type[Array]) -> Answers | None:
    if not wanted:
        return None
    columns = zip(kinds.items(), zip(*wanted, strict=True), strict=True)
    return session.execute(query, {name: kind(values) for (name, kind), values in columns})


def _rows(sent: Answers | None) -> list[Any]:
    return [] if sent is None else sent.rows()


def generations(batch: Sequence[Submission]) -> list[tuple[UUID, str]]:
    """Subscription and generation id of every charge, made or disputed, that the commands are about."""
    return [
        (each.subscription_id, each.command.generation_id)
        for each in batch
        if isinstance(each.command, _WITH_GENERATION)
    ]


def _disputes(batch: Sequence[Submission]) -> list[tuple[Any, Any]]:
    return list({(each.command.dispute_id, 0) for each in batch if isinstance(each.command, DISPUTE_COMMANDS)})


def _keys(batch: Sequence[Submission]) -> list[tuple[Any, Any]]:
    return [(each.metadata.key_id, each.idempotency.key) for each in batch if each.idempotency is not None]


def _lost_events(batch: Sequence[Submission]) -> list[tuple[Any, Any]]:
    return [(attempt.event.originator_id, attempt.event.originator_version) for each in batch for attempt in each.lost]


def _stored_charge(event_row: Sequence[Any], *, is_reversed: bool) -> OriginalCharge:
    stored = chained_event(event_row)
    event = read_event(stored).event
    assert isinstance(event, GenerationCharged)
    charge = charge_view(
        stored.originator_id,
        event,
        charged_at=stored.recorded_at,
        version=stored.originator_version,
        position=stored.position or 0,
        is_reversed=is_reversed,
    )
    return OriginalCharge(event, lambda _base: charge, stored.originator_version, is_reversed)
