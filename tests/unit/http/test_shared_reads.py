"""Balance reads share queries, never one that began before they arrived, and each gets its own answer."""

import asyncio
import threading
from collections.abc import Sequence
from uuid import UUID

import pytest
from msgspec.structs import replace

from projections.balance.view import Balance
from services.http.documentation.examples import BALANCE
from services.http.server.shared_reads import SharedBalanceReads
from tests.waiting import PATIENCE_SECONDS

SEEN, OTHER, UNKNOWN = UUID(int=1), UUID(int=2), UUID(int=3)


class Table:
    """A balance table whose queries can be held up after they have read."""

    def __init__(self) -> None:
        self.version = 1
        self.queries: list[list[UUID]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.has_read = threading.Event()
        self.error: Exception | None = None

    def read(self, ids: Sequence[UUID]) -> dict[UUID, Balance | None]:
        self.queries.append(list(ids))
        balances = {id: None if id == UNKNOWN else self._balance(id) for id in ids}
        self.has_read.set()
        assert self.may_answer.wait(PATIENCE_SECONDS)
        if self.error:
            raise self.error
        return balances

    def _balance(self, id: UUID) -> Balance:
        return replace(BALANCE, subscription_id=id, version=self.version)


async def _read(reads: SharedBalanceReads, id: UUID) -> Balance:
    balance = await reads.balance(id)
    assert balance is not None
    return balance


def test_a_read_that_arrives_while_a_query_runs_gets_a_later_one() -> None:
    table = Table()

    async def read_all() -> tuple[int, int]:
        reads = SharedBalanceReads(table.read)
        table.may_answer.clear()
        early = asyncio.create_task(_read(reads, SEEN))
        await asyncio.to_thread(table.has_read.wait, 10)
        table.version = 2  # a charge is answered here
        late = asyncio.create_task(_read(reads, SEEN))
        await asyncio.sleep(0)
        table.may_answer.set()
        return (await early).version, (await late).version

    assert asyncio.run(read_all()) == (1, 2)


def test_reads_that_wait_share_one_query() -> None:
    table = Table()

    async def read_all() -> list[UUID]:
        reads = SharedBalanceReads(table.read)
        found = await asyncio.gather(*(_read(reads, id) for id in (SEEN, OTHER, SEEN)))
        return [balance.subscription_id for balance in found]

    assert asyncio.run(read_all()) == [SEEN, OTHER, SEEN]
    assert table.queries == [[SEEN, OTHER]]


def test_an_unknown_subscription_affects_no_other() -> None:
    async def read_all() -> list[Balance | None]:
        reads = SharedBalanceReads(Table().read)
        return list(await asyncio.gather(reads.balance(SEEN), reads.balance(UNKNOWN)))

    found, missing = asyncio.run(read_all())
    assert isinstance(found, Balance)
    assert missing is None


def test_an_error_of_the_database_reaches_all_waiting_reads_and_later_ones_try_again() -> None:
    table = Table()

    async def read_all() -> tuple[list[Balance | BaseException], Balance]:
        reads = SharedBalanceReads(table.read)
        table.error = OSError("the database went away")
        failed = await asyncio.gather(_read(reads, SEEN), _read(reads, OTHER), return_exceptions=True)
        table.error = None
        return list(failed), await _read(reads, SEEN)

    failed, found = asyncio.run(read_all())
    assert [type(error) for error in failed] == [OSError, OSError]
    assert found.subscription_id == SEEN


def test_a_cancelled_read_takes_no_answer_from_others() -> None:
    table = Table()

    async def read_all() -> Balance:
        reads = SharedBalanceReads(table.read)
        table.may_answer.clear()
        leaving, staying = (asyncio.create_task(_read(reads, SEEN)) for _ in range(2))
        await asyncio.to_thread(table.has_read.wait, 10)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        table.may_answer.set()
        return await staying

    assert asyncio.run(read_all()).subscription_id == SEEN
