"""The write path on a real PostgreSQL: what was answered is stored, once, and explains itself."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest

from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Charged, Done, Refused
from services.subscription.commands import ChargeGeneration, StartSubscription
from services.subscription.refusals import InsufficientCredits

BY = Metadata(key_id="test", request_id="request-1")


@pytest.fixture
def subscription_id(ledger: Ledger) -> UUID:
    id = uuid4()
    started = ledger.execute(id, StartSubscription("account-1", "ai-starter-16500-monthly"), BY)
    assert isinstance(started, Done)
    return id


def test_many_clients_spend_exactly_what_is_there(ledger: Ledger, subscription_id: UUID, database_url: str) -> None:
    affordable = 16_500 // 150
    with ThreadPoolExecutor(64) as clients:
        answers = list(
            clients.map(
                lambda number: ledger.execute(subscription_id, ChargeGeneration(f"track-{number}", "lyria-3"), BY),
                range(affordable + 50),
            )
        )
    refused = [answer.refusal for answer in answers if isinstance(answer, Refused)]
    assert sum(isinstance(answer, Charged) for answer in answers) == affordable
    assert len(refused) == 50
    assert all(isinstance(refusal, InsufficientCredits) for refusal in refused)
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT granted_credits, used_credits, version, position FROM tallystick.balance"
        ).fetchone()
        events = connection.execute("SELECT count(*) FROM tallystick.ledger_events").fetchone()
    assert row == (16_500, 16_500, 2 + affordable, 2 + affordable)
    assert events == (2 + affordable,)


def test_the_same_charge_at_once_happens_once(ledger: Ledger, subscription_id: UUID) -> None:
    with ThreadPoolExecutor(50) as clients:
        answers = list(
            clients.map(
                lambda _: ledger.execute(subscription_id, ChargeGeneration("track-1", "lyria-3"), BY), range(50)
            )
        )
    charged = [answer for answer in answers if isinstance(answer, Charged)]
    assert len(charged) == 50
    assert sum(not answer.is_replay for answer in charged) == 1
    assert len({answer.charge.position for answer in charged}) == 1
