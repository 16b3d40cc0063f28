"""A process whose cached head is far behind reads the stream from the nearest snapshot on."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.catalogue import Catalogue
from services.ledger import lookups
from services.ledger.ledger import Ledger
from services.ledger.mapper import read_event
from services.ledger.records import ChainedEvent, Metadata, Recorded
from services.ledger.submission import Charged
from services.subscription.commands import ChargeGeneration, StartSubscription
from tests.conftest import SCHEMA

BY = Metadata("test", "request-1")
SNAPSHOT_INTERVAL = 50


def test_a_cached_head_that_is_far_behind_gives_way_to_a_snapshot(
    database_url: str, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clock() -> datetime:
        return datetime(2026, 1, 15, 12, tzinfo=UTC)

    read: list[ChainedEvent] = []

    def count(stored: ChainedEvent) -> Recorded:
        read.append(stored)
        return read_event(stored)

    id = uuid4()
    with Ledger(database_url, SCHEMA, catalogue, clock=clock) as first:
        first.execute(id, StartSubscription("account-1", "max-pro-240000-yearly"), BY)
        with Ledger(database_url, SCHEMA, catalogue, clock=clock, snapshot_interval=SNAPSHOT_INTERVAL) as other:
            for number in range(6 * SNAPSHOT_INTERVAL):
                other.execute(id, ChargeGeneration(f"track-{number}", "lyria-3"), BY)
        monkeypatch.setattr(lookups, "read_event", count)

        answer = first.execute(id, ChargeGeneration("after", "lyria-3"), BY)

    assert isinstance(answer, Charged)
    assert answer.charge.balance_after == 240_000 - 150 * (6 * SNAPSHOT_INTERVAL + 1)
    assert 0 < len(read) < SNAPSHOT_INTERVAL
