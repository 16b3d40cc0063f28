"""A command on its way through the writer lane, and every kind of answer to it."""

import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from projections.charges.view import Charge
from projections.disputes.view import DisputeView
from projections.holds.view import Hold
from services.dispute.commands import DISPUTE_COMMANDS, DisputeCommand
from services.ledger.records import ChainedEvent, Metadata
from services.subscription.commands import CaptureHold, ChargeGeneration, Command, HoldCredits, ReleaseHold
from services.subscription.refusals import Refusal
from services.subscription.state import Subscription


class Charged(Struct, frozen=True):
    """The charge is durable; `is_replay` tells a repeated request, which charged nothing."""

    charge: Charge
    is_replay: bool = False


class Held(Struct, frozen=True):
    """The hold is durable; `is_replay` tells a repeated request, which held nothing. The hold is as it is now."""

    hold: Hold
    is_replay: bool = False


class Released(Struct, frozen=True):
    """The hold was released; `is_replay` tells a repeated request."""

    hold: Hold
    is_replay: bool = False


class Done(Struct, frozen=True):
    """The command was carried out, in `event_count` events (0: nothing had to change).

    Boundaries that were due are not counted, unless the command was to record them; thousands take several commands.
    """

    subscription_id: UUID
    state: Subscription
    at: datetime
    event_count: int


class Disputed(Struct, frozen=True):
    """The dispute was opened or resolved; where it was upheld, its charge was reversed."""

    dispute: DisputeView
    is_new: bool


class Repeated(Struct, frozen=True):
    """The idempotency key was answered before: the first answer, as its caller rendered it."""

    answer: bytes


class DecidedOn(Struct, frozen=True):
    """What a command was refused on: the version of its subscription, those boundaries included that were due."""

    version: int
    balance_credits: int


class Refused(Struct, frozen=True):
    """The command was refused; nothing was recorded but the boundaries that were due."""

    refusal: Refusal
    decided_on: DecidedOn | None = None
    """Where it was refused for want of credits, or of what the plan or the status allows."""


class GenerationIdConflict(Refusal, frozen=True):
    """This generation id was taken before, by another charge."""

    code = "generation_id_conflict"
    original: Charge


class GenerationHeld(Refusal, frozen=True):
    """This generation id was taken before, by another hold, or by a hold at all."""

    code = "generation_id_conflict"
    original: Hold


class UnknownTestClock(Refusal, frozen=True):
    """There is no test clock with this id."""

    code = "unknown_test_clock"
    test_clock_id: str


class Failed(Struct, frozen=True):
    """The command was not carried out: the database could not be reached in time, or a defect was met.

    Where it `may_have_happened`, the outcome of a commit is unknown; a retry tells.
    """

    error: BaseException
    may_have_happened: bool = False


Answer = Charged | Held | Released | Done | Disputed | Repeated | Refused | Failed

AnyCommand = Command | DisputeCommand
"""A command on a subscription, or on a dispute about one of its charges."""


class IdempotencyKey(Struct, frozen=True):
    """A caller's key, the hash of the request that it came with, and the function that renders the answer."""

    key: str
    request_hash: bytes
    render: Callable[[Answer], bytes]


class Submission(msgspec.Struct, eq=False):
    """One command on its way through the lane; `deliver` is called once, from the lane's thread.

    A dispute belongs to one subscription, whose id comes with the command, so that the lock on the subscription's row
    is the dispute's as well.
    """

    subscription_id: UUID
    command: AnyCommand
    metadata: Metadata
    deliver: Callable[["Submission", Answer], None]
    expected_versions: Collection[int] | None = None
    """The recorded versions on which it may be decided; None for any."""
    idempotency: IdempotencyKey | None = None
    submitted_at: float = msgspec.field(default_factory=time.monotonic)
    lost: "tuple[Attempt, ...]" = ()
    """The attempts whose commit had an unknown outcome; they are looked up before the command is decided again."""


class Attempt(Struct, frozen=True):
    """The last event of an attempt, and the answer that holds if it turns out to be stored.

    The last, since the ones before it may be boundaries that were due, which another command may have recorded.
    """

    event: ChainedEvent
    answer: Callable[[int], Answer]
    """The answer, given the position of that event."""


Generation = tuple[UUID, str]
"""A generation: the id of the subscription, and its own."""

BY_GENERATION = (ChargeGeneration, HoldCredits, CaptureHold, ReleaseHold)
"""Commands that are carried out once for their generation id, however often they come."""
_WITH_GENERATION = (*BY_GENERATION, *DISPUTE_COMMANDS)


def generations(submissions: Sequence[Submission]) -> list[Generation]:
    """Return the generations that are to be charged or held, or whose charges are disputed, in order."""
    return [
        (each.subscription_id, each.command.generation_id)
        for each in submissions
        if isinstance(each.command, _WITH_GENERATION)
    ]
