"""The worker of the tutorial `charge-a-job-that-may-fail.md`, as a reader copies it, dying wherever it can."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.holding import credits_of
from tests.acceptance.server import Customer
from tests.acceptance.test_charge_safely import LosingTransport
from tests.conftest import SettableClock

TUTORIAL = Path(__file__).parents[2] / "docs/tutorials/charge-a-job-that-may-fail.md"
JOB = {"id": "video-1", "model": "example-video-1", "settings": {"duration_seconds": 12}}  # 150 credits
START = 16_500

Names = dict[str, Any]


class Died(BaseException):
    """The worker died."""


class DyingTransport(httpx.HTTPTransport):
    """A real connection of a worker that dies at a request: before it is sent, or when it was answered."""

    def __init__(self, requests: int, *, is_sent: bool) -> None:
        super().__init__()
        self.requests = requests
        self.is_sent = is_sent

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests -= 1
        if self.requests:
            return super().handle_request(request)
        if self.is_sent:
            super().handle_request(request).close()
        raise Died


@pytest.fixture
def worker() -> Names:
    """The names of the tutorial's module."""
    (source,) = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    names: Names = {}
    exec(source, names)
    return names


@pytest.fixture
def customer(http: httpx.Client) -> Customer:
    """A subscription with 16,500 credits."""
    return Customer.with_plan(http, "ai-starter-16500-monthly")


def comes_to(seconds: int) -> Callable[[Any], dict[str, int]]:
    """Make a generation that comes to so many seconds."""
    return lambda _job: {"duration_seconds": seconds}


def run(worker: Names, customer: Customer, generate: Callable[[Any], Any], job: Any = JOB) -> bool:
    """Run a job to its end."""
    is_paid: bool = worker["run_job"](customer.http, customer.subscription_id, job, generate)
    return is_paid


@pytest.mark.parametrize("is_sent", [False, True])
@pytest.mark.parametrize("requests", [1, 2])
def test_a_worker_that_dies_at_any_request_is_run_again(
    worker: Names, customer: Customer, requests: int, *, is_sent: bool
) -> None:
    http = customer.http
    transport = DyingTransport(requests, is_sent=is_sent)
    with httpx.Client(transport=transport, base_url=http.base_url, headers=http.headers) as dying, pytest.raises(Died):
        worker["run_job"](dying, customer.subscription_id, JOB, comes_to(10))

    assert run(worker, customer, comes_to(10))
    assert run(worker, customer, comes_to(10))
    assert credits_of(customer) == (START - 125, 0, START - 125)
    assert [each["credits"] for each in customer.get("charges")["data"]] == [125]


def test_a_worker_that_dies_while_it_generates_charges_nothing(
    worker: Names, customer: Customer, clock: SettableClock
) -> None:
    def die(_job: Any) -> None:
        raise Died

    with pytest.raises(Died):
        run(worker, customer, die)
    assert credits_of(customer) == (START, 150, START - 150)

    clock.advance(hours=1)

    assert credits_of(customer) == (START, 0, START)
    assert not run(worker, customer, comes_to(10))
    assert run(worker, customer, comes_to(10), {**JOB, "id": "video-1.again"})


def test_a_job_that_fails_is_not_charged(worker: Names, customer: Customer) -> None:
    def fail(_job: Any) -> None:
        raise worker["GenerationFailed"]("the model refused the prompt")

    assert not run(worker, customer, fail)

    assert credits_of(customer) == (START, 0, START)
    assert customer.get("holds/video-1")["status"] == "released"
    assert not run(worker, customer, comes_to(10))


def test_lost_answers_change_nothing(worker: Names, customer: Customer) -> None:
    http = customer.http
    with httpx.Client(transport=LosingTransport(3), base_url=http.base_url, headers=http.headers) as client:
        assert worker["run_job"](client, customer.subscription_id, JOB, comes_to(12))

    assert credits_of(customer) == (START - 150, 0, START - 150)


def test_what_comes_to_more_than_is_available_is_charged_as_held(worker: Names, customer: Customer) -> None:
    assert run(worker, customer, comes_to(3_600))

    assert [each["credits"] for each in customer.get("charges")["data"]] == [150]


def test_without_credits_nothing_is_generated(worker: Names, customer: Customer) -> None:
    def never(_job: Any) -> None:
        raise AssertionError("it was not paid for")

    assert not run(worker, customer, never, {**JOB, "settings": {"duration_seconds": 3_600}})
    customer.post("suspend", reason="not paid")
    assert not run(worker, customer, never)


def test_a_request_to_mend_raises(worker: Names, customer: Customer) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        run(worker, customer, comes_to(1), {**JOB, "model": "no-such-model"})
