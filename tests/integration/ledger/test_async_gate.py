"""Commands from an event loop: every caller gets its own answer, whichever others were cancelled meanwhile."""

import asyncio
from collections.abc import Sequence
from random import Random
from uuid import UUID

import pytest

from services.ledger.gate import AsyncGate
from services.ledger.lane import LaneClosed
from services.ledger.ledger import Ledger
from services.ledger.submission import Answer, Charged, Failed, Refused
from services.subscription.commands import ChargeGeneration, UpgradePlan
from services.subscription.refusals import VersionMismatch
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import BY, start, track

LARGE = "max-pro-240000-yearly"


async def _charge(gate: AsyncGate, id: UUID, generation_id: str) -> None:
    answer = await gate.execute(id, track(generation_id), BY)
    assert isinstance(answer, Charged)
    assert answer.charge.generation_id == generation_id, "the answer is the caller's own"


def test_thousands_of_tasks_each_get_their_own_answer(ledger: Ledger) -> None:
    id = start(ledger, LARGE)

    async def clients() -> None:
        gate = AsyncGate(ledger.lane)
        for group in range(4):
            await asyncio.gather(*[_charge(gate, id, f"track-{group}-{number}") for number in range(300)])

    asyncio.run(clients())


def test_sequential_commands_never_wait_for_a_lost_wake_up(ledger: Ledger) -> None:
    id = start(ledger, LARGE)

    async def client(gate: AsyncGate, name: int) -> None:
        for number in range(150):
            await _charge(gate, id, f"track-{name}-{number}")

    async def clients() -> None:
        gate = AsyncGate(ledger.lane)
        await asyncio.gather(*[client(gate, name) for name in range(5)])

    asyncio.run(clients())


def test_a_cancelled_command_is_carried_out_and_no_other_caller_gets_its_answer(ledger: Ledger, books: Books) -> None:
    id = start(ledger, LARGE)
    random = Random(3)
    cancelled = []

    async def client(gate: AsyncGate, name: int) -> None:
        for number in range(40):
            generation_id = f"track-{name}-{number}"
            task = asyncio.create_task(_charge(gate, id, generation_id))
            if random.random() < 0.5:
                await asyncio.sleep(random.choice((0, 0, 0.001)))
                task.cancel()
                cancelled.append(generation_id)
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled() or task.exception() is None

    async def clients() -> None:
        gate = AsyncGate(ledger.lane)
        await asyncio.gather(*[client(gate, name) for name in range(20)])

    asyncio.run(clients())
    ledger.lane.stop()
    assert len(cancelled) > 100
    not_cancelled = 800 - len(cancelled)
    assert not_cancelled <= len(books.charged()) <= 800
    books.check()


def test_a_version_can_be_expected(ledger: Ledger) -> None:
    id = start(ledger)

    async def upgrade() -> object:
        gate = AsyncGate(ledger.lane)
        return await gate.execute(id, UpgradePlan(LARGE), BY, expected_versions={1})

    assert asyncio.run(upgrade()) == Refused(VersionMismatch(2))


def test_a_closed_event_loop_does_not_stop_the_lane(ledger: Ledger) -> None:
    id = start(ledger)

    async def submit_and_cancel() -> None:
        gate = AsyncGate(ledger.lane)
        task = asyncio.ensure_future(gate.execute(id, track("track-1"), BY))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(submit_and_cancel())
    asyncio.run(_charge_once(ledger, id))


async def _charge_once(ledger: Ledger, id: UUID) -> None:
    await _charge(AsyncGate(ledger.lane), id, "track-2")


def test_a_closed_lane_raises(ledger: Ledger) -> None:
    ledger.lane.stop()
    with pytest.raises(LaneClosed):
        asyncio.run(_charge_once(ledger, UUID(int=1)))


def test_several_commands_are_answered_in_their_order(ledger: Ledger) -> None:
    ids = [start(ledger, LARGE) for _ in range(3)]
    commands = [(id, track(f"track-{number}")) for number in range(100) for id in ids]

    answers = asyncio.run(_execute_all(ledger, commands))

    charged = [(answer.charge.subscription_id, answer.charge.generation_id) for answer in answers]
    assert charged == [(id, command.generation_id) for id, command in commands]


def test_commands_that_the_lane_does_not_take_have_failed(ledger: Ledger) -> None:
    id = start(ledger, LARGE)
    ledger.lane.stop()

    async def execute_all() -> list[Answer]:
        return await AsyncGate(ledger.lane).execute_all([(id, track("track-1")), (id, track("track-2"))], BY)

    answers = asyncio.run(execute_all())

    assert [type(answer.error) for answer in answers if isinstance(answer, Failed)] == [LaneClosed, LaneClosed]


async def _execute_all(ledger: Ledger, commands: Sequence[tuple[UUID, ChargeGeneration]]) -> list[Charged]:
    answers = await AsyncGate(ledger.lane).execute_all(commands, BY)
    return [answer for answer in answers if isinstance(answer, Charged)]
