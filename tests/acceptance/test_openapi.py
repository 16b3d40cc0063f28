"""The OpenAPI document: complete, with valid examples, and true of the answers of the service."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.acceptance.server import Customer

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def document(http: httpx.Client) -> dict[str, Any]:
    document: dict[str, Any] = http.get("/openapi.json").json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield f"{method.upper()} {path}", methods[method]


def contents(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every body of an operation: `request` or a status, and the media type object."""
    if "requestBody" in operation:
        yield "request", next(iter(operation["requestBody"]["content"].values()))
    for status, response in operation["responses"].items():
        for media_type in response.get("content", {}).values():
            yield status, media_type


def shown_for(parameter: dict[str, Any]) -> Any:
    return parameter["example"] if "example" in parameter else parameter["schema"]["examples"][0]


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**schema, "components": document["components"]}, validate_formats=True)


def test_every_operation_shows_its_request_its_answer_and_its_problems(document: dict[str, Any]) -> None:
    incomplete = []
    for name, operation in operations(document):
        shown = {what: "example" in media or bool(media.get("examples")) for what, media in contents(operation)}
        has_body = name.startswith("POST") == ("request" in shown)
        has_parameters = all(
            "example" in each or "examples" in each["schema"] or "default" in each["schema"] or not each["required"]
            for each in operation["parameters"]
        )
        succeeds = "204" in operation["responses"] or any(status.startswith("2") for status in shown)
        if not (all(shown.values()) and has_body and has_parameters and succeeds and operation["summary"]):
            incomplete.append((name, shown))

    assert incomplete == []


def test_every_example_holds_to_its_schema(document: dict[str, Any]) -> None:
    wrong = []
    for name, operation in operations(document):
        for what, media in contents(operation):
            examples = [each["value"] for each in media.get("examples", {}).values()] or [media["example"]]
            checks = validator(document, media["schema"])
            wrong += [f"{name} {what}: {error}" for each in examples for error in checks.iter_errors(each)]

    assert wrong == []


def test_every_operation_that_needs_a_key_names_its_scope(document: dict[str, Any]) -> None:
    open_paths = {path for path, methods in document["paths"].items() if "security" not in next(iter(methods.values()))}

    log = {path for path in open_paths if path.startswith("/v1/log/")}
    assert open_paths - log == {"/livez", "/readyz", "/metrics"}
    assert len(log) == 6


def test_answers_are_as_documented(http: httpx.Client, document: dict[str, Any]) -> None:
    customer = Customer.with_plan(http, "ai-suite-40000-yearly")
    customer.charge("lyria-3", duration_seconds=180.5)
    customer.try_charge("example-image-1", count=1_000)
    customer.try_charge("lyria-3", count=1_000)
    at = "/v1/subscriptions/{subscription_id}"
    charge = {"generation_id": "g-1", "model": "lyria-3"}
    calls: list[tuple[str, str, Any]] = [
        ("get", at, None),
        ("get", f"{at}/balance", None),
        ("get", f"{at}/renewal", None),
        ("get", f"{at}/charges", None),
        ("get", f"{at}/events", None),
        ("get", f"{at}/refusals", None),
        ("get", f"{at}/usage", None),
        ("get", f"{at}/statements", None),
        ("get", "/v1/charges", None),
        ("get", "/v1/usage", None),
        ("get", "/v1/events", None),
        ("get", "/v1/plans", None),
        ("get", "/v1/rate-cards", None),
        ("get", "/readyz", None),
        ("post", "/v1/quotes", {"model": "lyria-3", "subscription_id": customer.subscription_id}),
        ("post", f"{at}/charges", charge),
        ("post", f"{at}/charges", charge),
        ("post", f"{at}/charges", {**charge, "model": "lyria-3-pro"}),
        ("post", f"{at}/charges", {**charge, "generation_id": "g-2", "settings": {"count": 1_000}}),
        ("post", f"{at}/charges", {**charge, "generation_id": "g-3", "settings": {"foo": 1}}),
        ("post", f"{at}/charges", {**charge, "more": 1}),
        ("post", f"{at}/downgrade", {"plan_id": "ai-starter-16500-yearly"}),
        ("post", f"{at}/resume", {}),
        ("post", f"{at}/upgrade", {"plan_id": "max-pro-240000-yearly"}),
        ("post", f"{at}/upgrade", {"plan_id": "max-pro-240000-yearly"}),
        ("post", f"{at}/cancel", {"when": "now"}),
        ("post", f"{at}/cancel", {"when": "now"}),
    ]

    wrong = []
    for method, path, body in calls:
        url = path.replace("{subscription_id}", customer.subscription_id)
        answer = http.request(method, url, json=body)
        documented = document["paths"][path][method]["responses"][str(answer.status_code)]
        schema = documented["content"][answer.headers["content-type"]]["schema"]
        errors = validator(document, schema).iter_errors(answer.json())
        wrong += [f"{method} {path} {answer.status_code}: {error}" for error in errors]
        missing = [name for name in documented["headers"] if name not in answer.headers]
        wrong += [f"{method} {path} {answer.status_code}: no {name}" for name in missing]

    assert wrong == []


def test_the_page_works_without_the_internet(http: httpx.Client) -> None:
    page = http.get("/docs")

    assert page.status_code == 200
    assert "://" not in page.text.replace("http://www.w3.org", "")
    assert http.get("/docs/assets/swagger-ui-bundle.js").status_code == 200
    assert http.get("/docs/assets/swagger-ui.css").status_code == 200


def test_the_document_names_every_schema_that_it_refers_to(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}

    assert names <= set(document["components"]["schemas"])


def test_an_operation_that_answers_in_json_alone_refuses_a_client_that_takes_none(
    http: httpx.Client, document: dict[str, Any]
) -> None:
    def newest() -> Any:
        return http.get("/v1/events", params={"limit": 1000}).json()["data"]

    before, tried = newest(), 0
    for name, operation in operations(document):
        answers = {
            kind for status, each in operation["responses"].items() if status < "3" for kind in each.get("content", {})
        }
        if "security" not in operation or answers != {"application/json"}:
            continue
        method, path = name.split()
        body = next((media.get("example") for what, media in contents(operation) if what == "request"), None)
        parameters = {each["name"]: shown_for(each) for each in operation["parameters"] if each["required"]}
        query = {each: parameters.pop(each) for each in [*parameters] if f"{{{each}}}" not in path}
        answer = http.request(
            method, path.format(**parameters), params=query, json=body, headers={"Accept": "image/png, text/*"}
        )
        assert (name, answer.status_code, answer.json()["code"]) == (name, 406, "not_acceptable")
        tried += 1

    assert tried > 20
    assert newest() == before
