"""What the tests of holds have in common: requests, and what they must come to."""

from typing import Any

from tests.acceptance.server import Customer

MONTHLY = "ai-starter-16500-monthly"
START = "2026-01-31T10:00:00Z"
RESET = "2026-02-28T10:00:00Z"
BEFORE_THE_RESET = "2026-02-28T09:59:00Z"
TRACK: dict[str, Any] = {"model": "lyria-3"}
VIDEO: dict[str, Any] = {"model": "example-video-1", "settings": {"duration_seconds": 12}}  # 150 credits


def put(customer: Customer, resource: str, **body: Any) -> tuple[int, Any]:
    """Post, and return the status and the body."""
    answer = customer.http.post(f"{customer.path}/{resource}", json=body)
    return answer.status_code, answer.json()


def hold(customer: Customer, generation_id: str = "job", **request: Any) -> Any:
    """Hold credits, which must succeed."""
    status, held = put(customer, "holds", generation_id=generation_id, **(request or TRACK))
    assert status == 201, held
    return held


def capture(customer: Customer, generation_id: str = "job", **body: Any) -> Any:
    """Capture a hold, which must succeed."""
    status, charge = put(customer, f"holds/{generation_id}/capture", **body)
    assert status == 201, charge
    return charge


def release(customer: Customer, generation_id: str = "job", **body: Any) -> Any:
    """Release a hold, which must succeed."""
    status, released = put(customer, f"holds/{generation_id}/release", **body)
    assert status == 200, released
    return released


def code(customer: Customer, resource: str, **body: Any) -> str:
    """Post what must be refused, and return the code."""
    status, problem = put(customer, resource, **body)
    assert status >= 400, problem
    return str(problem["code"])


def credits_of(customer: Customer) -> tuple[int, int, int]:
    """Balance, held and available credits."""
    balance = customer.get("balance")
    return balance["balance_credits"], balance["held_credits"], balance["available_credits"]
