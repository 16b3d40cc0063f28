"""The lane's cache of heads: never ahead of what is committed, never above its capacity."""

from collections.abc import Iterator
from functools import partial

import pytest
from msgspec.structs import replace

from services.catalogue import Catalogue
from services.ledger.heads import HeadCache
from services.ledger.ledger import Ledger
from services.ledger.submission import Answer, Charged
from services.subscription.commands import UpgradePlan
from tests.conftest import SCHEMA
from tests.integration.ledger.books import Books
from tests.integration.ledger.breaking import break_commits
from tests.integration.ledger.lanes import BY, charge, concurrently, in_one_batch, start, track


@pytest.fixture
def heads(ledger: Ledger) -> HeadCache:
    """The cache of the ledger's lane."""
    return ledger.lane._context.heads


def test_a_cached_head_is_the_one_that_was_committed(ledger: Ledger, heads: HeadCache, books: Books) -> None:
    id = start(ledger)
    in_one_batch(ledger, *[(id, track(f"track-{number}")) for number in range(5)])

    assert heads._heads[id] == books.head(id)


def test_a_head_that_was_not_committed_is_not_cached(
    ledger: Ledger, heads: HeadCache, database_url: str, books: Books
) -> None:
    fates = break_commits(ledger, database_url)
    id = start(ledger)
    seen = []
    fates.on_loss = lambda: seen.append(heads._heads.get(id))
    fates.schedule("not stored", "not stored")

    charge(ledger, id, "track-1")

    assert [None if head is None else head.version for head in seen] == [2, None]
    assert heads._heads[id] == books.head(id)


def test_a_cached_head_ahead_of_what_is_stored_is_not_used(ledger: Ledger, heads: HeadCache, books: Books) -> None:
    id = start(ledger)
    charge(ledger, id, "track-1")
    ahead = heads._heads[id]
    heads._heads[id] = replace(ahead, state=replace(ahead.state, version=9, used_credits=0))

    assert charge(ledger, id, "track-2").charge.balance_after == 16_500 - 300
    books.check()


def test_no_head_from_a_lost_server_stays_cached(
    ledger: Ledger, heads: HeadCache, database_url: str, books: Books
) -> None:
    """The next server may have an older state of the ledger, as after a fail-over that lost the end."""
    fates = break_commits(ledger, database_url)
    others = [start(ledger) for _ in range(5)]
    id = start(ledger)
    fates.schedule("not stored")

    charge(ledger, id, "track-1")

    assert list(heads._heads) == [id]
    assert [charge(ledger, each, "track-1").charge.version for each in others] == [3] * 5


def test_the_least_recently_used_head_is_evicted(ledger: Ledger, heads: HeadCache, books: Books) -> None:
    heads._capacity = 3
    ids = [start(ledger) for _ in range(5)]
    charge(ledger, ids[2], "track-1")

    assert list(heads._heads) == [ids[3], ids[4], ids[2]]

    answers = in_one_batch(ledger, *[(id, track("track-2")) for id in ids])
    assert [answer.charge.version for answer in answers if isinstance(answer, Charged)] == [3, 3, 4, 3, 3]
    assert len(heads._heads) == 3
    books.check()


@pytest.fixture
def small_cache(database_url: str, catalogue: Catalogue) -> Iterator[Ledger]:
    """A ledger whose lane caches one head."""
    with Ledger(database_url, SCHEMA, catalogue, snapshot_interval=5) as opened:
        opened.lane._context.heads._capacity = 1
        yield opened


def test_caching_changes_nothing_but_the_time_it_takes(small_cache: Ledger, books: Books) -> None:
    ids = [start(small_cache) for _ in range(4)]
    calls = [
        partial(small_cache.execute, ids[number % 4], track(f"track-{number // 4}"), BY) for number in range(4 * 40)
    ]
    for id in ids:
        small_cache.execute(id, UpgradePlan("max-pro-40000-monthly"), BY)

    answers: list[Answer] = concurrently(calls)

    assert len([answer for answer in answers if isinstance(answer, Charged)]) == 160
    books.check()
