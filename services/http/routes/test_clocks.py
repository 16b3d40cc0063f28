"""Test clocks: time that moves when it is told to. Answered only where they are enabled."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Meta, Struct
from starlette.responses import Response

from services.clocks import EARLIEST, LATEST, Advanced, Backwards, NotAllRecorded, Reading
from services.http.calls import Call, Manager
from services.http.decoding import JsonBody
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.once import answered_once
from services.http.parameters import TestClockPath
from services.http.problems import ClocksDisabled, Problem, Unavailable, invalid
from services.http.requests import Instant
from services.http.server.reply import Reply, encode, json_response
from services.ledger.records import Metadata
from services.ledger.submission import UnknownTestClock

router = APIRouter(tags=["Test clocks"])

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
        {201: Shown(Reading, examples.TEST_CLOCK, headers=("Location",))},
        missing=(ClocksDisabled,),
        request=TestClockRequest(examples.TEST_CLOCK.now),
    ),
)
def create_test_clock(
    call: Manager, wanted: Annotated[TestClockRequest, Depends(JsonBody(TestClockRequest))]
) -> Response:
    """Make a clock that stands at an instant. Subscriptions are bound to it when they are started."""
    _check_enabled(call)
    now = _within_range("now", wanted.now)

    def create() -> Reply:
        reading = call.service.clocks.create(now)
        return Reply(201, encode(reading), {"location": f"/v1/test-clocks/{reading.test_clock_id}"})

    return answered_once(call, wanted, create).response()


@router.get(
    "/v1/test-clocks/{test_clock_id}",
    openapi_extra=documented({200: Shown(Reading, examples.TEST_CLOCK)}, missing=(ClocksDisabled, UnknownTestClock)),
)
def get_test_clock(call: Manager, test_clock_id: TestClockPath) -> Response:
    """Show what a clock says."""
    _check_enabled(call)
    found = call.service.clocks.read(test_clock_id)
    if isinstance(found, UnknownTestClock):
        raise Problem(found, status=404)
    return json_response(found)


@router.post(
    "/v1/test-clocks/{test_clock_id}/advance",
    openapi_extra=documented(
        {200: Shown(Advanced, examples.ADVANCED)},
        missing=(ClocksDisabled, UnknownTestClock),
        request=AdvanceRequest(examples.ADVANCED.now),
    ),
)
def advance_test_clock(
    call: Manager,
    test_clock_id: TestClockPath,
    wanted: Annotated[AdvanceRequest, Depends(JsonBody(AdvanceRequest))],
) -> Response:
    """Move a clock forward, by any interval; answers when all that has become due is recorded, and says how much.

    The clock moves at once: from then on its subscriptions live at the new instant, by the same code as all others. If
    the recording is cut short, the renewal worker does the rest; so does advancing to the same instant again.
    """
    _check_enabled(call)
    to = _within_range("to", wanted.to)
    metadata = Metadata(call.key.key_id, call.exchange.request_id)

    def advance() -> Reply:
        match call.service.clocks.advance(test_clock_id, to, metadata):
            case Advanced() as advanced:
                return Reply(200, encode(advanced))
            case Backwards(now=now):
                clock_says = now.isoformat().replace("+00:00", "Z")
                return _problem(call, invalid("to", f"must not be before {clock_says}, where the clock stands"))
            case UnknownTestClock() as unknown:
                return _problem(call, Problem(unknown, status=404))

    return _unless_cut_short(lambda: answered_once(call, wanted, advance)).response()


def _unless_cut_short(advance: Callable[[], Reply]) -> Reply:
    try:
        return advance()
    except NotAllRecorded:
        raise Problem(Unavailable()) from None


def _problem(call: Call, problem: Problem) -> Reply:
    return problem.reply(call.exchange.request_id)


def _check_enabled(call: Call) -> None:
    if not call.service.backend.test_clocks_enabled:
        raise Problem(ClocksDisabled())


def _within_range(field: str, instant: datetime) -> datetime:
    if not EARLIEST <= instant <= LATEST:
        raise invalid(field, f"must be {_RANGE}")
    return instant.astimezone(UTC)
