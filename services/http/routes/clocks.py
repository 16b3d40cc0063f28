"""Test clocks: make one, read it, move it forward. Only where they are enabled."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

from fastapi import APIRouter, Depends
from msgspec import Meta, Struct

from services.clocks import EARLIEST, LATEST, Advanced, Backwards, NotAllRecorded, Reading
from services.http.calls import Call, Manager
from services.http.decoding import JsonBody
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.idempotency import answer_once
from services.http.instants import Instant
from services.http.parameters import TestClockPath
from services.http.patience import Patience, TookTooLong
from services.http.problems import ClocksDisabled, Problem, Unavailable, invalid
from services.http.routing import TypedRoute
from services.http.server.reply import Reply, json_reply
from services.ledger.submission import UnknownTestClock

router = APIRouter(tags=["Test clocks"], route_class=TypedRoute)

_RANGE = f"from {EARLIEST:%Y-%m-%d} to {LATEST:%Y-%m-%d}"


class TestClockRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a new clock is to stand."""

    now: Annotated[Instant, Meta(description=f"What it is to say; {_RANGE}.")]


class AdvanceRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a clock is to be moved."""

    to: Annotated[Instant, Meta(description=f"What it is to say, not before what it says; {_RANGE}.")]


@router.post(
    "/v1/test-clocks",
    openapi_extra=documented(
        {201: Shown(examples.TEST_CLOCK, headers=("Location",))},
        missing=(ClocksDisabled,),
        request=TestClockRequest(examples.TEST_CLOCK.now),
    ),
)
def create_test_clock(
    call: Manager, body: Annotated[TestClockRequest, Depends(JsonBody(TestClockRequest))]
) -> Reply[Reading]:
    """Make a clock that stands at an instant. Subscriptions are bound to it when they are started."""
    _check_enabled(call)
    now = _within_range("now", body.now)

    def create() -> Reply[Reading]:
        reading = call.service.clocks.create(now, _clock_id(call))
        return json_reply(reading, 201, {"location": f"/v1/test-clocks/{reading.test_clock_id}"})

    return answer_once(call, body, create)


@router.get(
    "/v1/test-clocks/{test_clock_id}",
    openapi_extra=documented({200: examples.TEST_CLOCK}, missing=(ClocksDisabled, UnknownTestClock)),
)
def get_test_clock(call: Manager, test_clock_id: TestClockPath) -> Reading:
    """Show what a clock says."""
    _check_enabled(call)
    reading = call.service.clocks.read(test_clock_id)
    if isinstance(reading, UnknownTestClock):
        raise Problem(reading, status=404)
    return reading


@router.post(
    "/v1/test-clocks/{test_clock_id}/advance",
    openapi_extra=documented(
        {200: examples.ADVANCED},
        missing=(ClocksDisabled, UnknownTestClock),
        request=AdvanceRequest(examples.ADVANCED.now),
    ),
)
def advance_test_clock(
    call: Manager,
    test_clock_id: TestClockPath,
    body: Annotated[AdvanceRequest, Depends(JsonBody(AdvanceRequest))],
) -> Reply[Advanced]:
    """Move a clock forward, by any interval; answers when all that has become due is recorded, and says how much.

    The clock moves at once: from then on its subscriptions live at the new instant, by the same code as all others. If
    the recording is cut short, since it takes more than 20 seconds (503) or since the client is gone, the renewal
    worker does the rest; so does advancing to the same instant again.
    """
    _check_enabled(call)
    to = _within_range("to", body.to)

    def advance() -> Reply[Advanced]:
        match call.service.clocks.advance(test_clock_id, to, call.metadata, Patience(call.exchange)):
            case Advanced() as advanced:
                return json_reply(advanced)
            case Backwards(now=now):
                clock_says = now.isoformat().replace("+00:00", "Z")
                raise invalid("to", f"must not be before {clock_says}, where the clock stands")
            case unknown:
                raise Problem(unknown, status=404)

    try:
        return answer_once(call, body, advance)
    except (NotAllRecorded, TookTooLong):
        raise Problem(Unavailable()) from None


def _clock_id(call: Call) -> UUID | None:
    """Derive the id of a new clock from the idempotency key, so that the same request twice at once makes one clock."""
    if (key := call.exchange.idempotency_key) is None:
        return None
    return uuid5(NAMESPACE_URL, f"tallystick:test-clock:{call.key.key_id}:{key}")


def _check_enabled(call: Call) -> None:
    if not call.service.backend.test_clocks_enabled:
        raise Problem(ClocksDisabled())


def _within_range(field: str, instant: datetime) -> datetime:
    if not EARLIEST <= instant <= LATEST:
        raise invalid(field, f"must be {_RANGE}")
    return instant.astimezone(UTC)
