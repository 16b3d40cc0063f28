"""Batches at random, at two processes at once, on lines that break: every answer is one that the books bear out.

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
from tests.integration.ledger.lanes import Asked, at_once, start, together

SHORT, LONG = 40, pytest.param(int(os.environ.get("TALLYSTICK_ROUNDS", "3000")), marks=pytest.mark.long)
PLANS = ("ai-starter-16500-monthly", "ai-suite-40000-monthly", "max-pro-40000-monthly", "max-pro-240000-monthly")


class Crowd:
    """What is asked at random, and what has been answered for certain."""

    def __init__(self, ids: Sequence[UUID], random: Random) -> None:
        self._ids = ids
        self._random = random
        self._round = 0
        self.charged: dict[tuple[UUID, str], Charge] = {}

    def ask(self) -> list[Asked]:
        """Some commands: mostly charges, some of which were made before, or are made by the other process just now."""
        self._round += 1
        return [self._command(self._random.choice(self._ids)) for _ in range(self._random.randint(1, 35))]

    def _command(self, id: UUID) -> Asked:
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

    def check(self, asked: Sequence[Asked], answers: Sequence[Answer]) -> None:
        """Fail where a charge of an earlier round was not answered with what it was, or a charge was made twice."""
        for (id, command, *_), answer in zip(asked, answers, strict=True):
            assert not isinstance(answer, Failed), answer
            if not isinstance(command, ChargeGeneration) or _is_about_its_key(answer):
                continue
            before = self.charged.get((id, command.generation_id))
            if before is not None and before.model == command.model:
                assert answer == Charged(before, is_replay=True)
            elif before is not None:
                assert answer == Refused(GenerationIdConflict(before))

    def note(self, answers: Sequence[Answer]) -> None:
        """Remember what was charged. Fail where it was charged before."""
        for answer in answers:
            if isinstance(answer, Charged) and not answer.is_replay:
                key = answer.charge.subscription_id, answer.charge.generation_id
                assert key not in self.charged
                self.charged[key] = answer.charge


@pytest.mark.parametrize("rounds", [SHORT, LONG])
def test_every_answer_is_borne_out_by_the_books(
    ledger: Ledger, other: Ledger, clock: SettableClock, books: Books, database_url: str, keen: None, rounds: int
) -> None:
    random = seeded("random batches")
    crowd = Crowd([start(ledger, plan) for plan in PLANS[:1] * 4 + PLANS[1:3]], random)
    with psycopg.connect(database_url, autocommit=True) as administrator:
        for _ in range(rounds):
            asked = crowd.ask(), crowd.ask()
            calls = [partial(together, each, *some) for each, some in zip((ledger, other), asked, strict=True)]
            if random.random() < 0.1:
                calls.append(partial(_break_lines, administrator, after_ms=random.randint(0, 20)))
            answers = at_once(calls, clients=3)
            for some, answered in zip(asked, answers, strict=False):
                crowd.check(some, answered)
            for answered in answers:
                crowd.note(answered)
            clock.advance(days=random.choice((0, 0, 0.1, 3)), seconds=1)

    assert books.charged() == crowd.charged
    _check_refusals(books)
    books.check()


def _is_about_its_key(answer: Answer) -> bool:
    return isinstance(answer, Refused) and isinstance(answer.refusal, IdempotencyKeyReused)


def _break_lines(administrator: psycopg.Connection[tuple[object, ...]], *, after_ms: int) -> list[Answer]:
    """End every session but this one after a moment."""
    administrator.execute(
        "SELECT pg_sleep(%s), pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        [after_ms / 1e3],
    )
    return []


def _check_refusals(books: Books) -> None:
    """Fail unless each charge that was refused for want of credits wanted more than there was at its version."""
    refused = books.ask(
        "SELECT subscription_id, version, balance_credits, required_credits FROM {}.refusals WHERE code = %s",
        InsufficientCredits.code,
    )
    streams = {id: [each.event for each in books.stream(id)] for id in {row[0] for row in refused}}
    for id, version, balance_credits, required_credits in refused:
        state = fold(streams[id][:version])
        assert state is not None
        assert state.balance_credits == balance_credits < required_credits
