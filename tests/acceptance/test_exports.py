"""Whole lists as streams of CSV and NDJSON."""

import csv
import io
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from services.http import exports
from tests.acceptance.server import Customer, Server
from tests.conftest import SettableClock

CSV, NDJSON = "text/csv", "application/x-ndjson"
PATHS = ["/v1/charges", "/v1/subscriptions/{id}/charges", "/v1/events"]


@pytest.fixture
def customer(http: httpx.Client, clock: SettableClock, monkeypatch: pytest.MonkeyPatch) -> Customer:
    """Seven charges on three days, read three rows at a time."""
    monkeypatch.setattr(exports, "PAGE_ROWS", 3)
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    for _ in range(3):
        customer.charge("lyria-3", duration_seconds=61.5)
        customer.charge("example-image-1", resolution="2048x2048")
        clock.advance(days=1)
    customer.try_charge("lyria-3-pro", "odd.name:1")
    return customer


def get(http: httpx.Client, path: str, accept: str, **query: Any) -> httpx.Response:
    answer = http.get(path, params=query, headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    return answer


def listed(http: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    """Read all pages of a list."""
    data: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = http.get(path, params={**query, "limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        data += page["data"]
        if (cursor := page["next_cursor"]) is None:
            return data


def parsed(text: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(text, newline=""))


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_of_json_lines_has_what_the_pages_have(customer: Customer, path: str) -> None:
    path = path.format(id=customer.subscription_id)

    answer = get(customer.http, path, NDJSON)

    assert answer.headers["content-type"] == NDJSON
    assert [json.loads(line) for line in answer.text.splitlines()] == listed(customer.http, path)


@pytest.mark.parametrize("path", PATHS[:2])
def test_charges_as_csv_have_a_column_for_each_fact(customer: Customer, path: str) -> None:
    path = path.format(id=customer.subscription_id)

    answer = get(customer.http, path, CSV)

    assert answer.headers["content-type"] == f"{CSV}; charset=utf-8"
    assert answer.headers["content-disposition"].endswith('.csv"')
    assert answer.text.count("\r\n") == 8
    rows = list(parsed(answer.text))
    for row, charge in zip(rows, listed(customer.http, path), strict=True):
        flat = {**charge, **charge.pop("settings"), **charge.pop("price")}
        flat["charged_at"] = flat["charged_at"].replace("00Z", "00.000000Z")  # of one length, in all rows
        flat = {name: value for name, value in flat.items() if not isinstance(value, dict)}
        assert {name: value for name, value in row.items() if value} == {
            **{name: str(value) for name, value in flat.items()},
            "account_id": "account-1",
            "plan_id": "ai-suite-40000-monthly",
        }


def test_events_as_csv_carry_the_json_that_is_stored(customer: Customer) -> None:
    rows = list(parsed(get(customer.http, "/v1/events", CSV).text))
    events = listed(customer.http, "/v1/events")

    assert [json.loads(row["data"]) for row in rows] == [event["data"] for event in events]
    assert [(row["position"], row["type"], row["hash"]) for row in rows] == [
        (str(event["position"]), event["type"], event["hash"]) for event in events
    ]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"model": "lyria-3"}, 3),
        ({"asset_type": "image"}, 3),
        ({"cycle": 1}, 7),
        ({"cycle": 2}, 0),
        ({"from": "2026-01-16T12:00:00Z"}, 5),
        ({"to": "2026-01-16T12:00:00Z"}, 2),
        ({"from": "2026-01-16T12:00:00Z", "to": "2026-01-17T12:00:00Z", "asset_type": "music"}, 1),
        ({"generation_id": "odd.name:1"}, 1),
    ],
)
def test_every_filter_holds_for_a_stream(customer: Customer, query: dict[str, str], count: int) -> None:
    answer = get(customer.http, "/v1/charges", NDJSON, **query)

    assert [json.loads(line) for line in answer.text.splitlines()] == listed(customer.http, "/v1/charges", **query)
    assert len(answer.text.splitlines()) == count
    assert len(list(parsed(get(customer.http, "/v1/charges", CSV, **query).text))) == count


def test_events_of_one_type_behind_a_position(customer: Customer) -> None:
    query = {"type": "GenerationCharged", "after_position": 4}

    answer = get(customer.http, "/v1/events", NDJSON, **query)

    assert [json.loads(line)["position"] for line in answer.text.splitlines()] == [5, 6, 7, 8, 9]


def test_a_stream_of_nothing_is_empty(http: httpx.Client) -> None:
    assert get(http, "/v1/charges", NDJSON).text == ""
    assert get(http, "/v1/charges", CSV).text.startswith("position,subscription_id,")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/*", CSV),
        ("text/csv, */*", "application/json"),
        ("text/csv, */*;q=0.1", CSV),
        ("*/*, application/json;q=0", CSV),
        ("application/*, text/csv;q=0.5", "application/json"),
        ("text/csv, application/json", "application/json"),
        ("application/json;q=0.5, text/csv;q=0.9", CSV),
        ("TEXT/CSV", CSV),
        ("text/csv;q=0.5, application/x-ndjson", NDJSON),
        ("text/csv;q=nonsense, application/json", "application/json"),
    ],
)
def test_the_client_gets_the_form_that_it_prefers(customer: Customer, accept: str, media_type: str) -> None:
    answer = get(customer.http, "/v1/charges", accept)

    assert answer.headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize("accept", ["text/html", "image/*", "text/csv;q=0", "application/json;q=0.0"])
def test_a_client_that_takes_nothing_of_what_is_offered_is_told_so(http: httpx.Client, accept: str) -> None:
    answer = http.get("/v1/charges", headers={"Accept": accept})

    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    assert answer.json()["offered"] == ["application/json", "text/csv", "application/x-ndjson"]


@pytest.mark.parametrize("parameter", [{"cursor": "x"}, {"limit": 5}])
def test_a_stream_has_no_pages(customer: Customer, parameter: dict[str, Any]) -> None:
    answer = customer.http.get("/v1/charges", params=parameter, headers={"Accept": CSV})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(parameter))


def test_errors_are_answered_before_the_stream_begins(server: Server, customer: Customer) -> None:
    unknown = "/v1/subscriptions/00000000-0000-0000-0000-000000000001/charges"

    answer = customer.http.get(unknown, headers={"Accept": NDJSON})

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    with server.client("read") as reader:
        assert reader.get("/v1/charges", headers={"Accept": CSV}).status_code == 403


@pytest.mark.long
@pytest.mark.parametrize(("path", "accept"), [("/v1/charges", CSV), ("/v1/charges", NDJSON), ("/v1/events", NDJSON)])
def test_a_million_rows_take_the_memory_of_a_page(
    http: httpx.Client, database_url: str, path: str, accept: str
) -> None:
    """`TALLYSTICK_ROWS` chooses another number."""
    row_count = int(os.environ.get("TALLYSTICK_ROWS", "1000000"))
    customer = Customer.with_plan(http, "ai-suite-40000-monthly")
    customer.charge("lyria-3")
    _fill(database_url, customer.subscription_id, 20_000)
    _drain(http, path, accept)  # what is allocated once, is allocated now
    _fill(database_url, customer.subscription_id, row_count - 20_000)

    peak, began_at = _Peak(), time.perf_counter()
    with peak:
        rows, size_bytes = _drain(http, path, accept)

    rate = rows / (time.perf_counter() - began_at)
    print(f"\n{path} as {accept}: {rows:,} rows, {size_bytes / 1e6:,.0f} MB, {rate:,.0f} rows/s,", end=" ")
    print(f"{peak.growth_bytes / 1e6:.1f} MB more memory")
    assert rows >= row_count
    assert size_bytes > 100 * row_count
    assert peak.growth_bytes < 15_000_000


def _fill(database_url: str, subscription_id: str, count: int) -> None:
    """Copy the stream's last charge so many times, as events and as charges."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "WITH newest AS (SELECT max(notification_id) AS at FROM tallystick.ledger_events), copied AS ("
            " INSERT INTO tallystick.ledger_events (notification_id, originator_version, recorded_at, originator_id,"
            " topic, previous_hash, state) SELECT newest.at + n, newest.at + n, recorded_at, originator_id, topic,"
            " previous_hash, convert_to(jsonb_set(convert_from(state, 'UTF8')::jsonb, '{data,generation_id}',"
            " to_jsonb('copy-' || newest.at + n))::text, 'UTF8') FROM newest, tallystick.ledger_events,"
            " generate_series(1, %(count)s) AS n WHERE originator_id = %(id)s AND originator_version = 3"
            " RETURNING originator_id, originator_version)"
            " INSERT INTO tallystick.charges (subscription_id, generation_id, version)"
            " SELECT originator_id, 'copy-' || originator_version, originator_version FROM copied",
            {"id": subscription_id, "count": count},
        )
        connection.execute("ANALYZE tallystick.ledger_events, tallystick.charges")


def _drain(http: httpx.Client, path: str, accept: str) -> tuple[int, int]:
    """Read a stream and discard it; return the numbers of its lines and bytes."""
    lines = size_bytes = 0
    with http.stream("GET", path, headers={"Accept": accept}, timeout=600) as answer:
        for chunk in answer.iter_bytes():
            lines += chunk.count(b"\n")
            size_bytes += len(chunk)
    return lines, size_bytes


class _Peak:
    """The peak of this process's memory, the server's included, above that at the start."""

    growth_bytes = 0

    def __enter__(self) -> None:
        self._process, self._done = psutil.Process(os.getpid()), threading.Event()
        self._began_bytes = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __exit__(self, *_exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.growth_bytes = max(self.growth_bytes, self._process.memory_info().rss - self._began_bytes)


def test_a_member_a_capture_and_a_reversal_have_columns(customer: Customer) -> None:
    id = customer.subscription_id
    customer.post("holds", generation_id="held", model="lyria-3", member="ada")
    customer.post("holds/held/capture")
    dispute = {"subscription_id": id, "generation_id": "held", "reason": "other", "note": "?"}
    dispute_id = customer.http.post("/v1/disputes", json=dispute).json()["dispute_id"]
    decision = {"outcome": "upheld", "note": "!", "credit_to": "current_cycle", "credits": 50}
    customer.http.post(f"/v1/disputes/{dispute_id}/resolve", json=decision).raise_for_status()

    for path in (f"{customer.path}/charges", "/v1/charges"):
        row = next(csv.DictReader(io.StringIO(get(customer.http, path, CSV).text)))
        assert (row["generation_id"], row["member"], row["held_credits"]) == ("held", "ada", "150")
        assert (row["reversed_credits"], row["dispute_id"], len(row["reversed_at"])) == ("50", dispute_id, 27)
