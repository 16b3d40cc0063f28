"""Every operation by every scope and every confinement, as the OpenAPI document lists them.

What a confined key may do beyond its own subscriptions is named here, operation by operation; any other is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import pytest

from services.http import freshness
from services.http.problems import STATUS
from services.keys import SCOPES
from tests.acceptance.server import Customer, Server, pages, plain_client

FOR_ALL = {
    *("list_plans", "get_plan", "list_rate_cards"),
    *("list_checkpoints", "latest_checkpoint", "prove_consistency"),
}
"""Operations of no subscription."""
BY_HANDLER = {
    *("list_subscriptions", "start_subscription", "charge_batch", "quote", "list_all_charges", "get_total_usage"),
    *("list_renewals", "open_dispute", "list_disputes", "get_dispute", "resolve_dispute", "get_evidence"),
}
"""Operations that filter a list, or look at the body; each has a test of its own below."""
WITHOUT_KEY = {
    *("livez", "readyz", "metrics", "log_checkpoint", "log_keys", "log_tile"),
    *("refusals_checkpoint", "refusals_keys", "refusals_tile"),
}


@dataclass(frozen=True)
class Operation:
    """An operation of the document."""

    method: str
    path: str
    name: str
    scope: str | None
    examples: Mapping[str, str]
    """Of each parameter in the path, an example from the document."""

    @property
    def is_of_subscription(self) -> bool:
        return "{subscription_id}" in self.path

    def request(self, client: httpx.Client, subscription_id: str) -> httpx.Response:
        values = {**self.examples, "subscription_id": subscription_id}
        content = b"{}" if self.method == "POST" else None
        return client.request(self.method, self.path.format(**values), content=content)


def operations(server: Server) -> list[Operation]:
    document = httpx.get(f"{server.url}/openapi.json").json()
    return [
        Operation(
            method.upper(),
            path,
            each["operationId"],
            (each.get("security") or [{"key": [None]}])[0]["key"][0],
            {one["name"]: str(one["example"]) for one in each["parameters"] if one["in"] == "path"},
        )
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]


@dataclass(frozen=True)
class House:
    """Two accounts, each with a subscription, a charge and a dispute; keys confined to the first."""

    server: Server
    own: Customer
    other: Customer
    own_dispute: str
    other_dispute: str

    def client(self, confinement: str, *scopes: str) -> httpx.Client:
        """A client whose key is confined in this way, with all scopes if none is named."""
        account_ids = ["own"] if confinement in {"account", "both"} else []
        subscription_ids = [UUID(self.own.subscription_id)] if confinement in {"subscription", "both"} else []
        key = self.server.backend.keys.create(
            "confined", scopes or SCOPES, account_ids=account_ids, subscription_ids=subscription_ids
        )
        return plain_client(self.server.url, {"Authorization": f"Bearer {key.key}"})


@pytest.fixture
def house(server: Server, http: httpx.Client, catch_up: Callable[[], None]) -> House:
    customers: list[Customer] = []
    disputes: list[str] = []
    for account_id in ("own", "other"):
        customer = Customer.with_plan(http, "ai-suite-40000-monthly", account_id)
        assert customer.try_charge("lyria-3", "track").status_code == 201
        body = {"generation_id": "track", "reason": "duplicate", "note": "twice"}
        opened = http.post("/v1/disputes", json={"subscription_id": customer.subscription_id, **body})
        customers.append(customer)
        disputes.append(opened.json()["dispute_id"])
    catch_up()
    server.seal()
    (own, other), (own_dispute, other_dispute) = customers, disputes
    return House(server, own, other, own_dispute, other_dispute)


@pytest.fixture(params=["account", "subscription", "both"])
def confined(request: pytest.FixtureRequest, house: House) -> Iterator[httpx.Client]:
    with house.client(request.param) as client:
        yield client


def code(answer: httpx.Response) -> str | None:
    is_problem = answer.headers.get("content-type") == "application/problem+json"
    return answer.json()["code"] if is_problem else None


def test_no_operation_is_without_a_rule(server: Server) -> None:
    found = operations(server)

    assert {each.name for each in found if each.scope is None} == WITHOUT_KEY
    assert {each.name for each in found if not each.is_of_subscription} >= FOR_ALL | BY_HANDLER


@pytest.mark.parametrize("scope", SCOPES)
def test_every_operation_by_scope_and_confinement(house: House, scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "FRESH_SECONDS", 60.0)
    unexpected = []
    for confinement in ("nothing", "account", "subscription", "both"):
        with house.client(confinement, scope) as client:
            for operation in operations(house.server):
                for customer in (house.own, house.other) if operation.is_of_subscription else (house.own,):
                    answer = operation.request(client, customer.subscription_id)
                    is_outside = confinement != "nothing" and customer is house.other
                    if not is_expected(operation, answer, scope, confinement != "nothing", is_outside):
                        unexpected.append((operation, confinement, answer.status_code, code(answer)))
    assert not unexpected


def is_expected(operation: Operation, answer: httpx.Response, scope: str, is_confined: bool, is_outside: bool) -> bool:
    """Whether an operation is answered as it must be for this key."""
    if operation.scope not in {None, scope}:
        return code(answer) == "missing_scope" and answer.status_code == STATUS["missing_scope"]
    if operation.scope is None or not is_confined or operation.name in FOR_ALL | BY_HANDLER:
        return code(answer) not in {"missing_scope", "key_confined", "unauthenticated"}
    if not operation.is_of_subscription:
        return code(answer) == "key_confined" and answer.status_code == STATUS["key_confined"]
    return (code(answer) == "unknown_subscription") == is_outside


def test_lists_have_what_is_ones_own(house: House, confined: httpx.Client) -> None:
    own = {house.own.subscription_id}
    for path in ("/v1/subscriptions", "/v1/charges", "/v1/renewals", "/v1/disputes"):
        listed = [item for page in pages(confined, path, limit=1) for item in page]
        streamed = confined.get(path, headers={"Accept": "application/x-ndjson"}).text
        assert {each["subscription_id"] for each in listed} == own, path
        assert house.other.subscription_id not in streamed
        assert house.own.subscription_id in streamed


def test_usage_adds_up_what_is_ones_own(house: House, confined: httpx.Client, http: httpx.Client) -> None:
    everything, own = (client.get("/v1/usage").json()["data"] for client in (http, confined))
    by_account = confined.get("/v1/usage", params={"group_by": "account"}).json()["data"]

    assert ([each["credits"] for each in everything], [each["credits"] for each in own]) == ([300], [150])
    assert [each["account_id"] for each in by_account] == ["own"]
    assert not confined.get("/v1/usage", params={"account": "other", "group_by": "day"}).json()["data"]


@pytest.mark.parametrize(
    "query",
    [{"account_id": "other"}, {"plan_id": "ai-suite-40000-monthly"}, {"status": "active"}, {"status": "ended"}],
)
def test_no_filter_reaches_others(house: House, confined: httpx.Client, query: dict[str, str]) -> None:
    listed = confined.get("/v1/subscriptions", params=query).json()["data"]

    assert {each["subscription_id"] for each in listed} <= {house.own.subscription_id}
    assert not confined.get("/v1/disputes", params={"subscription_id": house.other.subscription_id}).json()["data"]
    found = confined.get("/v1/charges", params={"generation_id": "track"}).json()["data"]
    assert [each["subscription_id"] for each in found] == [house.own.subscription_id]


def test_a_batch_is_judged_item_by_item(house: House, confined: httpx.Client) -> None:
    ids = [house.own.subscription_id, house.other.subscription_id, str(uuid4()), "no id", house.own.subscription_id]
    items = [{"subscription_id": id, "generation_id": f"b-{n}", "model": "lyria-3"} for n, id in enumerate(ids)]

    results = confined.post("/v1/charges/batch", json={"charges": items}).json()["results"]

    assert [each["status"] for each in results] == [201, 404, 404, 422, 201]
    assert [each["problem"]["code"] for each in results[1:3]] == ["unknown_subscription"] * 2
    assert house.other.balance == 39_850


def test_a_quote_is_of_ones_own_or_of_none(house: House, confined: httpx.Client) -> None:
    of_one = [{"subscription_id": each.subscription_id} for each in (house.own, house.other)]
    asked: list[dict[str, str]] = [{}, *of_one]
    answers = [confined.post("/v1/quotes", json={"model": "lyria-3", **each}) for each in asked]

    assert [answer.status_code for answer in answers] == [200, 200, 404]
    assert code(answers[2]) == "unknown_subscription"


def test_disputes_of_others_are_not_there(house: House, confined: httpx.Client) -> None:
    resolution = {"outcome": "rejected", "note": "no"}
    asked = [
        confined.get(f"/v1/disputes/{house.other_dispute}"),
        confined.get(f"/v1/disputes/{house.other_dispute}/evidence"),
        confined.post(f"/v1/disputes/{house.other_dispute}/resolve", json=resolution),
    ]
    body = {"generation_id": "track", "reason": "other", "note": "mine"}
    opening = confined.post("/v1/disputes", json={"subscription_id": house.other.subscription_id, **body})

    assert [code(answer) for answer in asked] == ["unknown_dispute"] * 3
    assert code(opening) == "unknown_subscription"
    assert confined.get(f"/v1/disputes/{house.own_dispute}").status_code == 200
    assert confined.get(f"/v1/disputes/{house.own_dispute}/evidence").status_code == 200
    assert confined.post(f"/v1/disputes/{house.own_dispute}/resolve", json=resolution).status_code == 200


def test_a_key_of_an_account_starts_its_subscriptions_and_sees_them(house: House) -> None:
    with house.client("account") as client:
        for _ in range(2):
            Customer.with_plan(client, "ai-starter-16500-monthly", "own").charge("lyria-3")
        outside = client.post("/v1/subscriptions", json={"account_id": "other", "plan_id": "ai-suite-40000-monthly"})
        listed = client.get("/v1/subscriptions").json()["data"]
    assert (outside.status_code, code(outside)) == (403, "key_confined")
    assert len(listed) == 3


def test_a_key_of_an_account_sees_what_others_start_there(house: House, http: httpx.Client) -> None:
    with house.client("account") as client:
        assert client.get(f"/v1/subscriptions/{uuid4()}/balance").status_code == 404
        new = Customer.with_plan(http, "ai-starter-16500-monthly", "own")
        assert client.get(f"{new.path}/balance").status_code == 200
        assert client.post(f"{new.path}/charges", json={"generation_id": "n", "model": "lyria-3"}).status_code == 201


def test_a_key_of_a_subscription_starts_none(house: House) -> None:
    with house.client("subscription") as client:
        for account_id in ("own", "other"):
            body = {"account_id": account_id, "plan_id": "ai-suite-40000-monthly"}
            assert code(client.post("/v1/subscriptions", json=body)) == "key_confined"
        body = {"account_id": "own", "plan_id": "p", "subscription_id": house.own.subscription_id}
        assert code(client.post("/v1/subscriptions", json=body)) == "key_confined"


def test_an_account_is_read_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = "projections.renewal.queries.RenewalQueries.accounts"
    monkeypatch.setattr(queries, lambda *_arguments: {})
    with house.client("account") as client:
        assert client.get(f"{house.own.path}/balance").status_code == 404
        monkeypatch.undo()
        assert client.get(f"{house.own.path}/balance").status_code == 200
        monkeypatch.setattr(queries, None)
        assert client.get(f"{house.own.path}/balance").status_code == 200
