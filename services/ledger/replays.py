"""Answers a request under the id of a generation that was taken before. Pure."""

from collections.abc import Callable
from datetime import datetime

from services.ledger.records import RecordedCharge, RecordedHold
from services.ledger.submission import Answer, Charged, GenerationHeld, GenerationIdConflict, Held, Refused, Released
from services.subscription.commands import CaptureHold, ChargeGeneration, HoldCredits, ReleaseHold
from services.subscription.holds import is_same_capture, is_same_hold, is_same_request

OnHolds = HoldCredits | CaptureHold | ReleaseHold
ReplayedAnswer = Callable[[int], Answer]
"""The answer, given the position before the batch's first event."""


def replayed(
    command: ChargeGeneration | OnHolds, charge: RecordedCharge | None, hold: RecordedHold | None, now: datetime
) -> ReplayedAnswer | None:
    """Answer from the charge and the hold that have the id; None where the command is still to be decided.

    An id belongs to the kind of request that first took it. The same request again gets what it got before, a hold as
    it is now; another one is a conflict.
    """
    if charge is None and hold is None:
        return None
    match command:
        case ChargeGeneration():
            if hold is None and charge is not None and is_same_request(charge.event, command):
                return lambda base: Charged(charge.view(base), is_replay=True)
            return _conflict(charge, hold, now)
        case HoldCredits():
            if hold is not None and is_same_hold(hold.event, command):
                return lambda base: Held(hold.view(now, base), is_replay=True)
            return _conflict(charge, hold, now)
        case CaptureHold():
            if hold is None or charge is None:
                return None
            if is_same_capture(charge.event, hold.event, command):
                return lambda base: Charged(charge.view(base), is_replay=True)
            return lambda base: Refused(GenerationIdConflict(charge.view(base)))
        case ReleaseHold():
            if hold is None or hold.status in {"held", "expired"}:
                return None
            if hold.status == "released":
                return lambda base: Released(hold.view(now, base), is_replay=True)
            return _conflict(charge, hold, now)


def _conflict(charge: RecordedCharge | None, hold: RecordedHold | None, now: datetime) -> ReplayedAnswer:
    if hold is not None:
        return lambda base: Refused(GenerationHeld(hold.view(now, base)))
    assert charge is not None
    return lambda base: Refused(GenerationIdConflict(charge.view(base)))
