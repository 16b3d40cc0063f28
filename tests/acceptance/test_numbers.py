"""Any text that is a JSON number is taken, or refused by the name of its field."""

import httpx
import pytest

from tests.acceptance.server import Customer

NUMBERS = [
    "1e-99999999999999999999",
    "1e99999999999999999999",
    "-1e99999999999999999999",
    "0e99999999999999999999",
    "0.0e-99999999999999999999",
    "1e400",
    "1E+5",
    "-0",
    "-0.0",
    "0." + "0" * 61 + "1",
    "9" * 64,
    "9" * 5_000,
    "0.1" + "0" * 5_000,
    "18446744073709551616",
    "-9223372036854775809",
]
NUMERIC_BODIES = {
    "charges duration": ("{}/charges", '{"generation_id":"g","model":"lyria-3","settings":{"duration_seconds":N}}'),
    "charges count": ("{}/charges", '{"generation_id":"g","model":"lyria-3","settings":{"count":N}}'),
    "charges characters": ("{}/charges", '{"generation_id":"g","model":"lyria-3","settings":{"characters":N}}'),
    "charges id": ("{}/charges", '{"generation_id":N,"model":"lyria-3"}'),
    "quotes duration": ("/v1/quotes", '{"model":"lyria-3","settings":{"duration_seconds":N}}'),
    "quotes count": ("/v1/quotes", '{"model":"lyria-3","settings":{"count":N}}'),
    "what-if price": ("{}/what-if", '{"reprice":{"lyria-3":N}}'),
    "what-if price, as text": ("{}/what-if", '{"reprice":{"lyria-3":"N"}}'),
    "what-if until": ("{}/what-if", '{"until":N}'),
    "what-if duration": (
        "{}/what-if",
        '{"insert_charges":[{"at":"2026-01-01T00:00:00Z","generation_id":"i","model":"lyria-3",'
        '"settings":{"duration_seconds":N}}]}',
    ),
    "upgrade": ("{}/upgrade", '{"plan_id":"max-pro-40000-yearly","billing_reference":N}'),
    "batch": (
        "/v1/charges/batch",
        '{"charges":[{"subscription_id":"ID","generation_id":"g","model":"lyria-3","settings":{"duration_seconds":N}}]}',
    ),
}


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    return Customer.with_plan(http, "ai-starter-16500-monthly")


@pytest.mark.parametrize(("path", "body"), NUMERIC_BODIES.values(), ids=NUMERIC_BODIES)
def test_any_number_of_json_is_taken_or_refused_by_name(customer: Customer, path: str, body: str) -> None:
    for number in NUMBERS:
        content = body.replace("ID", customer.subscription_id).replace("N", number)
        answer = customer.http.post(path.format(customer.path), content=content)

        assert answer.status_code in {200, 201, 409, 422}, (number[:30], answer.text)
        if answer.status_code == 422:
            assert answer.json()["errors"], number[:30]
