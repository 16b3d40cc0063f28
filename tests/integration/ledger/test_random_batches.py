"""Random batches at two processes whose connections break: every answer agrees with the stored events.

`TALLYSTICK_SEED` plays the same commands again; the long form plays 3,000 rounds (`TALLYSTICK_ROUNDS`).
"""

import os
from collections.abc import Sequence
from functools import partial
from random import Random
from uuid import UUID

import psycopg
import pytest

from projections.charges.view import Charge
from services.idempotency import IdempotencyKeyReused
from services.ledger.ledger import Ledger
from services.ledger.submission import (
    Answer,
    Charged,
    Failed,
    GenerationIdConflict,
    IdempotencyKey,
    Refused,
)
from services.subscription.commands import ChargeGeneration, RecordDue, UpgradePlan
from services.subscription.refusals import InsufficientCredits
from services.subscription.state import fold
from tests.conftest import SettableClock
from tests.faults.seeds import seeded
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import Request, concurrently, in_one_batch, start

SHORT, LONG = 40, pytest.param(int(os.environ.get("TALLYSTICK_ROUNDS", "3000")), marks=pytest.mark.long)
PLANS = ("ai-starter-16500-monthly", "ai-suite-40000-monthly", "max-pro-40000-monthly", "max-pro-240000-monthly")


class RandomCommands:
    """Makes random commands, and remembers the charges that were answered."""

    def __init__(self, ids: Sequence[UUID], random: Random) -> None:
        self._ids = ids
        self._random = random
        self._round = 0
        self.charged: dict[tuple[UUID, str], Charge] = {}

    def next_batch(self) -> list[Request]:
        """Make some commands: mostly charges, some of which were made before, or are made by the other process too."""
        self._round += 1
        return [self._command(self._random.choice(self._ids)) for _ in range(self._random.randint(1, 35))]

    def _command(self, id: UUID) -> Request:
        random, kind = self._random, self._random.random()
        if kind < 0.01:
            return id, UpgradePlan(random.choice(PLANS))
        if kind < 0.02:
            return id, RecordDue()
        of_round = self._round if random.random() < 0.9 else random.randint(1, self._round)
        model = "lyria-3" if random.random() < 0.95 else "lyria-3-pro"
        command = ChargeGeneration(f"track-{of_round}-{random.randint(1, 200)}", model)
        if kind > 0.9:
            key = IdempotencyKey(
                f"key-{of_round}-{random.randint(1, 200)}", repr((id, command)).encode(), lambda _: b""
            )
            return id, command, key
        return id, command

    def check(self, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        """Fail where a repeated charge was not answered with the original, or as a conflict with it."""
        for (id, command, *_), answer in zip(requests, answers, strict=True):
            assert not isinstance(answer, Failed), answer
            if not isinstance(command, ChargeGeneration) or _is_about_the_key(answer):
                continue
            before = self.charged.get((id, command.generation_id))
            if before is not None and before.model == command.model:
                assert answer == Charged(before, is_replay=True)
            elif before is not None:
                assert answer == Refused(GenerationIdConflict(before))

    def note(self, answers: Sequence[Answer]) -> None:
        """Remember the charges that were made. Fails where one was made before."""
        for answer in answers:
            if isinstance(answer, Charged) and not answer.is_replay:
                key = answer.charge.subscription_id, answer.charge.generation_id
                assert key not in self.charged
                self.charged[key] = answer.charge


@pytest.mark.parametrize("rounds", [SHORT, LONG])
def test_every_answer_agrees_with_the_stored_events(
    ledger: Ledger, other: Ledger, clock: SettableClock, books: Books, database_url: str, speculating: None, rounds: int
) -> None:
    random = seeded("random batches")
    commands = RandomCommands([start(ledger, plan) for plan in PLANS[:1] * 4 + PLANS[1:3]], random)
    with psycopg.connect(database_url, autocommit=True) as administrator:
        for _ in range(rounds):
            batches = commands.next_batch(), commands.next_batch()
            calls = [partial(in_one_batch, each, *batch) for each, batch in zip((ledger, other), batches, strict=True)]
            if random.random() < 0.1:
                calls.append(partial(_end_sessions, administrator, after_ms=random.randint(0, 20)))
            answers = concurrently(calls, clients=3)
            for batch, batch_answers in zip(batches, answers, strict=False):
                commands.check(batch, batch_answers)
            for batch_answers in answers:
                commands.note(batch_answers)
            clock.advance(days=random.choice((0, 0, 0.1, 3)), seconds=1)

    assert books.charged() == commands.charged
    _check_refusals(books)
    books.check()


def _is_about_the_key(answer: Answer) -> bool:
    return isinstance(answer, Refused) and isinstance(answer.refusal, IdempotencyKeyReused)


def _end_sessions(administrator: psycopg.Connection[tuple[object, ...]], *, after_ms: int) -> list[Answer]:
    """End every session but this one, after a delay."""
    administrator.execute(
        "SELECT pg_sleep(%s), pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        [after_ms / 1e3],
    )
    return []


def _check_refusals(books: Books) -> None:
    """Fail unless each charge refused for want of credits cost more than the balance at its version."""
    refused = books.query(
        "SELECT subscription_id, version, balance_credits, required_credits FROM {}.refusals WHERE code = %s",
        InsufficientCredits.code,
    )
    streams = {id: [each.event for each in books.stream(id)] for id in {row[0] for row in refused}}
    for id, version, balance_credits, required_credits in refused:
        state = fold(streams[id][:version])
        assert state is not None
        assert state.balance_credits == balance_credits < required_credits
