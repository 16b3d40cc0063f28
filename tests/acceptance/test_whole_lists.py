"""Every list that comes in pages comes whole as well: as CSV, and as NDJSON."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.http import exports
from tests.acceptance.server import Customer, pages

CSV, NDJSON = "text/csv", "application/x-ndjson"


@pytest.fixture
def customer(http: httpx.Client, catch_up: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Customer:
    """A customer with more of everything than fits into a page."""
    monkeypatch.setattr(exports, "PAGE_ROWS", 2)
    customers = [Customer.with_plan(http, "ai-starter-16500-monthly", account_id="many") for _ in range(5)]
    customer = customers[0]
    for number in range(5):
        customer.charge("lyria-3")
        assert customer.try_charge("lyria-3-pro", f"dear-{number}", count=1_000).status_code == 402
        made = customer.charge("lyria-3")["generation_id"]
        dispute = {"subscription_id": customer.subscription_id, "generation_id": made, "reason": "other", "note": "?"}
        assert http.post("/v1/disputes", json=dispute).status_code == 201
    customer.post("downgrade", plan_id="ai-starter-7500-monthly")
    catch_up()
    return customer


LISTS: dict[str, dict[str, str]] = {
    "/v1/subscriptions": {"account_id": "many"},
    "/v1/subscriptions/{id}/events": {},
    "/v1/subscriptions/{id}/events ": {"type": "GenerationCharged"},
    "/v1/subscriptions/{id}/refusals": {},
    "/v1/subscriptions/{id}/charges": {},
    "/v1/renewals": {},
    "/v1/disputes": {"status": "open"},
    "/v1/charges": {},
    "/v1/events": {},
}


@pytest.mark.parametrize(("path", "query"), LISTS.items(), ids=[*LISTS])
def test_a_stream_has_what_the_pages_have(
    http: httpx.Client, customer: Customer, path: str, query: dict[str, str]
) -> None:
    path = path.strip().format(id=customer.subscription_id)
    listed = [item for page in pages(http, path, **query) for item in page]
    assert len(listed) >= 5

    lines = http.get(path, params=query, headers={"Accept": NDJSON})
    table = http.get(path, params=query, headers={"Accept": CSV})

    assert [json.loads(line) for line in lines.text.splitlines()] == listed
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert len(rows) == len(listed)
    for row, item in zip(rows, listed, strict=True):
        assert None not in row
        for name, value in _flat(item):
            if isinstance(value, str) and name in row and not name.endswith("_at"):
                assert row[name] == value
        assert {len(value) for name, value in row.items() if name.endswith("_at") and value} <= {27}


def test_a_client_that_takes_nothing_of_it_is_told_so(http: httpx.Client) -> None:
    assert http.get("/v1/renewals", headers={"Accept": "image/png"}).status_code == 406


def _flat(item: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    cells: list[tuple[str, Any]] = []
    for name, value in item.items():
        cells += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return cells
