"""Requests generated from the OpenAPI document, well formed and not: never a defect, never an undocumented answer."""

import os
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks

from services.http import feed
from tests.acceptance.server import Customer, Server

EXAMPLES_PER_OPERATION = int(os.environ.get("TALLYSTICK_GENERATED_REQUESTS", "8"))
SEED = int(os.environ.get("TALLYSTICK_SEED", "20260115"))

# A plan or a model can have the documented form and still not be in the catalogue, so no operation is held to accept
# what is well formed. A batch is not held to refuse what is malformed either: it is answered with 200.
BEYOND = {"POST /v1/charges/batch": (checks.negative_data_rejection,)}


def test_generated_requests_meet_only_documented_answers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "WAIT_SECONDS_MAX", 0)
    with server.client() as http:
        customer = Customer.with_plan(http, "max-pro-240000-monthly")
        customer.charge("lyria-3")
        schema = schemathesis.openapi.from_dict(http.get("/openapi.json").json())
        schema.config.update(base_url=server.url)
        wrong = schema.config.checks.negative_data_rejection
        wrong.expected_statuses = [*wrong.expected_statuses, "413"]  # a list beyond its limit can exceed the body's
        known = {"subscription_id": customer.subscription_id}

        failures = []
        for result in schema.get_all_operations():
            operation = result.ok()  # type: ignore[union-attr] # an error of the document fails here
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try:
                    with suppress(Unsatisfiable):  # an operation that takes nothing has nothing to get wrong
                        _try(operation, mode, known, dict(http.headers))
                except (AssertionError, BaseExceptionGroup) as failure:
                    failures.append(f"{operation.label} {mode.value}: {failure}")

    assert failures == [], "\n\n".join(failures)


def _try(operation: Any, mode: GenerationMode, known: dict[str, str], headers: dict[str, str]) -> None:
    @seed(SEED)
    @settings(
        max_examples=EXAMPLES_PER_OPERATION,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        if "subscription_id" in (case.path_parameters or {}) and mode is GenerationMode.POSITIVE:
            case.path_parameters = {**case.path_parameters, **known}
        case.call_and_validate(
            headers={"Authorization": headers["authorization"]},
            excluded_checks=[checks.positive_data_acceptance, *BEYOND.get(operation.label, ())],
        )

    holds()
