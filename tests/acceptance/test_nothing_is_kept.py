"""Nothing is kept of a request that was refused: no cycle of an error and a frame holds its body until a collection.

A process that serves collects seldom; three megabytes of each refused batch would wait for it.
"""

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import httpx

from tests.acceptance.server import Customer
from tests.acceptance.test_bad_input import CASES, CHARGE

ITEM = {**CHARGE, "subscription_id": "0198c0de-0000-4000-8000-000000000009"}
POSTS = [
    *((case.path, case.body) for case in CASES),
    ("/v1/charges/batch", {"charges": [ITEM] * 30_000}),
    ("/v1/charges/batch", {"charges": [ITEM, {**CHARGE, "subscription_id": "?"}, {}, 7]}),
    ("charges", {**CHARGE, "model": "example-video-1", "settings": {"duration_seconds": 86_400}}),
    ("holds", {**CHARGE, "model": "no-such-model"}),
    ("holds/none/capture", {}),
    ("upgrade", {"plan_id": "ai-starter-7500-monthly"}),
    ("resume", {}),
    ("what-if", {"without_generations": ["none"]}),
]
GETS = [
    *("charges?limit=0", "charges?cursor=x", "charges/none", "holds/none", "renewal?tz=Europe", "as-of?version=99"),
    *("events?type=Nope", "charges/none/receipt", "statements/99", "upgrade-preview?plan_id=none", "usage?group_by=x"),
]


@contextmanager
def uncollected() -> Iterator[list[str]]:
    """Collect no garbage meanwhile; fill the list with the product's functions whose frames are garbage then."""
    found: list[str] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        frames = [each.f_code for each in gc.garbage if isinstance(each, FrameType)]
        found += sorted({f"{code.co_filename}: {code.co_qualname}" for code in frames if _is_ours(code.co_filename)})
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _is_ours(path: str) -> bool:
    return "/services/" in path or "/projections/" in path


def ask(customer: Customer) -> set[int]:
    http, statuses = customer.http, set[int]()
    for path, body in POSTS:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        statuses.add(
            http.post(path if path.startswith("/") else f"{customer.path}/{path}", content=content).status_code
        )
    statuses.update(http.get(f"{customer.path}/{path}").status_code for path in GETS)
    statuses.add(http.get("/v1/nowhere").status_code)
    statuses.add(http.delete("/v1/plans").status_code)
    statuses.add(http.get("/v1/plans", headers={"Authorization": "Bearer tsk_nobody"}).status_code)
    return statuses


def test_nothing_is_kept_of_a_request_that_was_refused(http: httpx.Client) -> None:
    customer = Customer.with_plan(http, "ai-starter-16500-monthly")
    ask(customer)  # so that caches are filled
    with uncollected() as kept:
        statuses = ask(customer)
    assert statuses >= {400, 401, 402, 404, 405, 409, 422}
    assert kept == []
