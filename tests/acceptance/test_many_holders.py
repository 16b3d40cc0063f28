"""256 clients hold, capture and release on one subscription that has credits for a hundred of them."""

import asyncio
from collections import Counter
from random import Random

import httpx
import pytest

from tests.acceptance.holding import credits_of
from tests.acceptance.server import Customer
from tests.faults.seeds import seeded

CLIENTS = 256
TRACK_CREDITS = 150
GRANTED = 16_500
AFFORDABLE = GRANTED // TRACK_CREDITS


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    """A subscription with credits for 110 tracks."""
    return Customer.with_plan(http, "ai-starter-16500-monthly")


async def live(http: httpx.AsyncClient, path: str, name: str, random: Random) -> list[str]:
    """Hold three times, and end each hold in one way or another. Return what became of each."""
    outcomes = []
    for number in range(3):
        id = f"{name}-{number}"
        held = await http.post(f"{path}/holds", json={"generation_id": id, "model": "lyria-3"})
        if held.status_code == 402:
            assert held.json()["available_credits"] < TRACK_CREDITS
            outcomes.append("refused")
            continue
        assert held.status_code == 201, held.text
        how = random.choice(("capture", "release"))
        ended = await asyncio.gather(*(http.post(f"{path}/holds/{id}/{how}") for _ in range(random.choice((1, 2)))))
        assert {each.status_code for each in ended} <= {200, 201}, [each.text for each in ended]
        outcomes.append(how)
        balance = (await http.get(f"{path}/balance")).json()
        assert 0 <= balance["available_credits"] <= balance["balance_credits"]
    return outcomes


async def live_at_once(http: httpx.Client, path: str, random: Random) -> Counter[str]:
    """Let all clients live at once, each with random numbers of its own."""
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=http.base_url, headers=http.headers, limits=limits, timeout=120) as clients:
        lives = [live(clients, path, f"c{name}", Random(random.random())) for name in range(CLIENTS)]
        return Counter(outcome for outcomes in await asyncio.gather(*lives) for outcome in outcomes)


def test_nothing_is_spent_twice_and_nothing_stays_held(customer: Customer) -> None:
    outcomes = asyncio.run(live_at_once(customer.http, customer.path, seeded("many holders")))

    captured = outcomes["capture"]
    assert 0 < captured <= AFFORDABLE
    assert outcomes["refused"] > 0
    left = GRANTED - captured * TRACK_CREDITS
    assert credits_of(customer) == (left, 0, left)
    assert customer.get("holds", status="held")["data"] == []
    charges = customer.get("charges", limit=1_000)["data"]
    assert len({each["generation_id"] for each in charges}) == len(charges) == captured
    assert customer.post("what-if")["differences"] == []
