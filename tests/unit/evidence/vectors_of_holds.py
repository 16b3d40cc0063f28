"""Makes holds that are chained, logged and signed, and do not end as they can."""

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from services.evidence.case import Case
from services.ledger.records import ChainedEvent
from tests.unit.evidence.cases import KEY, disputed_in
from tests.unit.evidence.forgery import Edit, edited, forged, rechained
from tests.unit.evidence.holds import adjusted, captured, captured_late, captured_to_the_end, captured_while_suspended
from tests.unit.evidence.vector import Vector
from tests.unit.evidence.vectors_of_events import one_behind_the_other
from tests.unit.subscription.history import History

_LIVES: dict[str, Callable[[], History]] = {
    "track": captured,
    "late": captured_late,
    "shared": captured_while_suspended,
    "over": captured_to_the_end,
}
EDITS: tuple[tuple[str, str, str, str, Edit, str], ...] = (
    (
        "card",
        "track",
        "CreditsHeld",
        "track",
        lambda data: {**data, "entry": {"rule": "per_track", "model": "lyria-3", "asset_type": "music"}},
        "The entry of the card has neither credits nor bands.",
    ),
    (
        "member",
        "shared",
        "GenerationCharged",
        "shared",
        lambda data: {**data, "member": "ben"},
        "A capture is of another member than its hold.",
    ),
    (
        "available",
        "track",
        "CreditsHeld",
        "track",
        lambda data: {**data, "available_after": 40_000},
        "A hold states other credits that are available.",
    ),
    (
        "price",
        "track",
        "CreditsHeld",
        "track",
        lambda data: {**data, "credits": 299, "available_after": 39_701},
        "A hold has other credits than its price.",
    ),
    ("cycle", "track", "CreditsHeld", "track", lambda data: {**data, "cycle_number": 2}, "A hold is of another cycle."),
    (
        "held",
        "track",
        "GenerationCharged",
        "track",
        lambda data: {**data, "held_credits": 301},
        "A capture states another hold.",
    ),
    (
        "model",
        "track",
        "CreditsHeld",
        "track",
        lambda data: {**data, "model": "another"},
        "A capture is of another model than its hold.",
    ),
    (
        "expired",
        "track",
        "CreditsHeld",
        "track",
        lambda data: {**data, "expires_at": "2024-02-02T09:05:00Z"},
        "A hold is captured at the instant at which it expires.",
    ),
    (
        "not-late",
        "track",
        "GenerationCharged",
        "track",
        lambda data: {**data, "is_late": True, "balance_after": 40_000},
        "A capture is said to be late, and is not.",
    ),
    (
        "not-held",
        "track",
        "GenerationCharged",
        "plain",
        lambda data: {**data, "held_credits": 300},
        "A capture is of no hold.",
    ),
    (
        "no-capture",
        "track",
        "GenerationCharged",
        "track",
        lambda data: {name: value for name, value in data.items() if name != "held_credits"},
        "A generation for which something is held is charged beside the hold.",
    ),
    (
        "release-credits",
        "track",
        "HoldReleased",
        "other",
        lambda data: {**data, "credits": 149},
        "A release frees other credits than were held.",
    ),
    (
        "release-cause",
        "track",
        "HoldReleased",
        "other",
        lambda data: {**data, "cause": "expired"},
        "A hold is said to have expired before its time.",
    ),
    (
        "expiry-cause",
        "track",
        "HoldReleased",
        "short",
        lambda data: {**data, "cause": "released"},
        "A hold that had expired is said to have been released.",
    ),
    (
        "release-of-none",
        "track",
        "HoldReleased",
        "other",
        lambda data: {**data, "generation_id": "another"},
        "Nothing is held for what is released.",
    ),
    (
        "held-twice",
        "track",
        "CreditsHeld",
        "short",
        lambda data: {**data, "generation_id": "other"},
        "One generation is held twice.",
    ),
    (
        "late-cycle",
        "late",
        "GenerationCharged",
        "late",
        lambda data: {**data, "cycle_number": 2},
        "A late capture is of another cycle than its hold.",
    ),
    (
        "late-balance",
        "late",
        "GenerationCharged",
        "late",
        lambda data: {**data, "is_late": False, "balance_after": 39_700},
        "A late capture is taken from the new allowance.",
    ),
    (
        "late-release",
        "late",
        "HoldReleased",
        "forgotten",
        lambda data: {**data, "lapsed_credits": 0},
        "What was held in a cycle that has ended does not lapse.",
    ),
    (
        "reset",
        "late",
        "CycleReset",
        "",
        lambda data: {**data, "held_credits": 300, "lapsed_credits": 39_400},
        "A reset holds other credits over than were held.",
    ),
    (
        "upgraded",
        "over",
        "GenerationCharged",
        "over",
        lambda data: {**data, "cycle_number": 2},
        "A hold that came along over an upgrade is captured in the old cycle.",
    ),
    (
        "end",
        "over",
        "SubscriptionEnded",
        "",
        lambda data: {**data, "held_credits": 0},
        "The end holds other credits over than were held.",
    ),
)


def bad_holds() -> Iterator[Vector]:
    """Make those that do not hold."""
    for name, disputed_id, topic, generation_id, edit, why in EDITS:
        case = disputed_in(_LIVES[disputed_id](), disputed_id, outcome=None)
        version = _version(case.subscription, topic, generation_id)
        yield _bad(name, edited(case.subscription, version, edit), case.dispute, why, case if name == "card" else None)
    yield from _charged_while_suspended()
    yield from _settled_twice()
    case = disputed_in(captured_to_the_end(), "over", outcome=None)
    plain = case.subscription[_version(case.subscription, "GenerationCharged", "plain") - 1]
    again = replace(plain, recorded_at=case.subscription[-1].recorded_at)
    again = replace(again, state=again.state.replace(b'"plain"', b'"again"'))
    charged = rechained([*case.subscription, again])
    after_end = edited(charged, len(charged), lambda data: {**data, "credits": 0, "balance_after": 0})
    yield _bad("charge-after-the-end", after_end, case.dispute, "Something is charged after the end.")


def _charged_while_suspended() -> Iterator[Vector]:
    case = disputed_in(captured_while_suspended(), "shared", outcome=None)
    reinstated = _version(case.subscription, "SubscriptionReinstated", "")
    rest = [event for event in case.subscription if event.originator_version != reinstated]
    yield _bad("charge-while-suspended", rechained(rest), case.dispute, "Something is charged while it is suspended.")


def _settled_twice() -> Iterator[Vector]:
    case = disputed_in(adjusted(), "track", outcome=None)
    twice = edited(case.subscription, len(case.subscription), lambda data: {**data, "run_id": "run-1"})
    yield _bad("settled-twice", twice, case.dispute, "A run is settled twice.")


def _bad(
    name: str,
    subscription: Sequence[ChainedEvent],
    dispute: Sequence[ChainedEvent],
    why: str,
    told: Case | None = None,
) -> Vector:
    """Make a vector; `told` is the case that its documents tell where nobody can read the events."""
    content = forged(one_behind_the_other(subscription, dispute), told=told)
    return Vector(f"bad-evidence-hold-{name}.zip", content, [str(KEY.key)], why=why)


def _version(events: Sequence[ChainedEvent], topic: str, generation_id: str) -> int:
    sought = f'"generation_id":"{generation_id}"'.encode() if generation_id else b""
    return next(each.originator_version for each in events if each.topic == topic and sought in each.state)
