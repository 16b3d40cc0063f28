"""Speculation: charges decided from cached heads, as if nobody had made them before, and what has to hold for that."""

from random import Random
from typing import cast
from uuid import UUID

import pytest

from services.ledger.deciding import Speculation, heads_to_speculate_on, speculate
from services.ledger.heads import HeadCache
from services.ledger.submission import Charged, Failed, Held, Refused, Submission
from services.subscription.commands import (
    CaptureHold,
    ChargeGeneration,
    Command,
    HoldCredits,
    RecordDue,
    UpgradePlan,
)
from services.subscription.refusals import InsufficientCredits
from tests.conftest import SettableClock
from tests.unit.ledger.in_memory import LARGEST, SMALL, STARTER, InMemoryLedger, key, submit, track


def on_cached_heads(ledger: InMemoryLedger, *submissions: Submission) -> Speculation:
    heads = heads_to_speculate_on(submissions, ledger.heads.get)
    assert heads is not None
    return speculate(submissions, heads, ledger.clock(), ledger.catalogue)


def test_charges_on_cached_streams_are_decided(ledger: InMemoryLedger) -> None:
    ids = [ledger.start() for _ in range(3)]
    for id in ids[1:]:
        ledger.put(submit(id, track("track-0")))

    speculation = on_cached_heads(ledger, *[submit(id, track("track-1")) for id in reversed(ids)])

    assert [type(answer) for answer in speculation.decided.answers(0)] == [Charged] * 3
    assert speculation.versions == {ids[0]: 2, ids[1]: 3, ids[2]: 3}
    assert [*speculation.uncharged] == [], "a charge that was made before is refused by the table of charges"


def test_streams_are_locked_in_the_order_of_their_ids(
    ledger: InMemoryLedger,
) -> None:
    ids = [ledger.start() for _ in range(3)]
    heads = {id: ledger.heads[id] for id in reversed(ids)}

    speculation = speculate([submit(id, track("track-1")) for id in heads], heads, ledger.clock(), ledger.catalogue)

    assert [*speculation.versions] == ids


def test_what_cannot_be_decided_without_looking_it_up_is_not(ledger: InMemoryLedger, clock: SettableClock) -> None:
    ledger.test_clocks["slow"] = clock.now
    id, on_test_clock = ledger.start(), ledger.start(test_clock_id="slow")
    charge = submit(id, track("track-1"))

    assert heads_to_speculate_on([charge], ledger.heads.get) is not None
    assert heads_to_speculate_on([charge, submit(id, UpgradePlan(LARGEST))], ledger.heads.get) is None
    assert heads_to_speculate_on([submit(id, RecordDue())], ledger.heads.get) is None
    assert heads_to_speculate_on([charge, submit(UUID(int=7), track("track-1"))], ledger.heads.get) is None
    assert heads_to_speculate_on([charge, submit(on_test_clock, track("track-1"))], ledger.heads.get) is None


def test_a_refused_generation_must_not_have_been_charged_before(ledger: InMemoryLedger) -> None:
    """Else it would be a replay, which needs no credits."""
    id = ledger.start()
    ledger.put(*[submit(id, track(f"track-{number}")) for number in range(109)])

    last, poor = submit(id, track("last")), submit(id, track("poor"))

    speculation = on_cached_heads(ledger, last, poor, poor, last)

    charged, *refused, replayed = speculation.decided.answers(0)
    assert isinstance(charged, Charged)
    assert all(isinstance(each, Refused) and isinstance(each.refusal, InsufficientCredits) for each in refused)
    assert replayed == Charged(charged.charge, is_replay=True)
    assert speculation.uncharged == [(id, "poor")]


def test_a_defect_is_validated_like_a_refusal(ledger: InMemoryLedger) -> None:
    id = ledger.start()
    broken = ChargeGeneration("track-2", cast("str", []))  # no key of a dictionary

    speculation = on_cached_heads(ledger, submit(id, track("track-1")), submit(id, broken))

    assert [type(answer) for answer in speculation.decided.answers(0)] == [Charged, Failed]
    assert speculation.uncharged == [(id, "track-2")]


def test_the_heads_that_a_batch_leaves_are_what_the_next_is_decided_on(ledger: InMemoryLedger) -> None:
    id = ledger.start()

    first = on_cached_heads(ledger, submit(id, track("track-1")))
    heads = heads_to_speculate_on([submit(id, track("track-2"))], first.decided.heads.get)
    assert heads is not None
    second = speculate([submit(id, track("track-2"))], heads, ledger.clock(), ledger.catalogue)

    assert second.versions == {id: 3}
    (answer,) = second.decided.answers(0)
    assert isinstance(answer, Charged)
    assert answer.charge.balance_after == 16_500 - 300


@pytest.mark.parametrize("seed", range(20))
def test_where_it_holds_it_is_what_looking_up_would_have_decided(
    ledger: InMemoryLedger, clock: SettableClock, seed: int
) -> None:
    """For batches at random, of charges that nobody has made before."""
    random = Random(seed)
    ids = [ledger.start(plan) for plan in (STARTER, SMALL, LARGEST)]
    for number in range(10):
        models = ("lyria-3", "lyria-3-pro", "no-such-model")
        batch = [
            submit(
                random.choice(ids),
                ChargeGeneration(f"track-{number}-{random.randint(1, 40)}", random.choices(models, (8, 2, 1))[0]),
                idempotency=key(f"key-{number}-{random.randint(1, 40)}") if random.random() < 0.2 else None,
                expected_versions={random.randint(3, 60)} if random.random() < 0.1 else None,
            )
            for _ in range(random.randint(1, 60))
        ]

        speculation = on_cached_heads(ledger, *batch)
        decided = ledger.decide(*batch)

        assert speculation.decided.recorded == decided.recorded
        assert speculation.decided.heads | decided.heads == decided.heads
        assert (speculation.decided.refusals, speculation.decided.records_by_key) == (
            decided.refusals,
            decided.records_by_key,
        )
        assert speculation.decided.answers(7) == decided.answers(7)
        ledger.commit(decided)
        clock.advance(days=random.choice((0, 3)))


def test_the_cache_evicts_the_head_that_was_put_longest_ago(ledger: InMemoryLedger) -> None:
    ids = [ledger.start() for _ in range(4)]
    cache = HeadCache(3)

    cache.put(ledger.heads[id] for id in ids[:3])
    cache.put([ledger.heads[ids[0]]])
    cache.put([ledger.heads[ids[3]]])

    assert [cache.get(id) is not None for id in ids] == [True, False, True, True]
    assert cache.get(ids[0]) == ledger.heads[ids[0]]
    cache.clear()
    assert [cache.get(id) for id in ids] == [None] * 4


@pytest.mark.parametrize(
    "other", [CaptureHold("job"), HoldCredits("job", "lyria-3"), ChargeGeneration("job", "lyria-3")]
)
def test_a_second_request_beside_a_capture_is_looked_up_for_its_hold(ledger: InMemoryLedger, other: Command) -> None:
    id = ledger.start()
    ledger.put(submit(id, HoldCredits("job", "lyria-3")))
    capture = submit(id, CaptureHold("job"))

    assert heads_to_speculate_on([capture, submit(id, track("track-1"))], ledger.heads.get) is not None
    assert heads_to_speculate_on([capture, submit(id, other)], ledger.heads.get) is None
    first, second = ledger.put(capture, submit(id, other))
    assert isinstance(first, Charged)
    assert not first.is_replay
    assert type(second) is {CaptureHold: Charged, HoldCredits: Held, ChargeGeneration: Refused}[type(other)]
