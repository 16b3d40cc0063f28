"""Makes events that are chained, logged and signed, and say what cannot be."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from services.evidence.case import Case
from services.ledger.records import ChainedEvent
from tests.unit.evidence.cases import KEY, disputed, sealed
from tests.unit.evidence.forgery import Edit, edited, forged, moved, rechained, rewritten
from tests.unit.evidence.memory_log import MemoryLog
from tests.unit.evidence.vector import Vector

FIRST_POSITION = 101
Edits = tuple[tuple[str, int, Edit, str], ...]
"""Of each: its name, the version that is edited, the edit, what is wrong then."""

LIFE = """
    2024-01-31 10:00 | start ai-suite-40000-monthly                | balance 40,000
    2024-02-02       | charge 9,000 image as picture               | balance 31,000
    2024-02-03       | charge 500 image as other                   | balance 30,500
    2024-02-04       | reverse other                               | balance 31,000
    2024-02-05 12:34 | generate lyria-3 count=2 as track           | balance 30,700
    2024-02-06       | charge 50,000 image as huge                 | refused insufficient_credits
    2024-03-10       | charge 4,000 voiceover as speech            | balance 36,000
    2024-03-12       | upgrade max-pro-240000-monthly              | balance 236,000
    2024-03-15       | cancel now                                  | status ended
"""

EDITS: Edits = (
    ("balance", 4, lambda data: {**data, "balance_after": 30_600}, "The charge states another balance."),
    (
        "price",
        4,
        lambda data: {**data, "price": {**data["price"], "credits_per_unit": 149}},
        "The price does not come to the credits.",
    ),
    ("quantity", 4, lambda data: {**data, "settings": {"count": 3}}, "The quantity is not that of the settings."),
    ("cycle", 4, lambda data: {**data, "cycle_number": 2}, "The charge names another cycle."),
    ("other-charge", 3, lambda data: {**data, "balance_after": 31_001}, "Another charge states another balance."),
    (
        "other-price",
        5,
        lambda data: {**data, "credits": 4_001, "balance_after": 26_699},
        "Another charge has other credits than its price.",
    ),
    ("charged-twice", 5, lambda data: {**data, "generation_id": "track"}, "One generation is charged twice."),
    ("larger-allowance", 2, lambda data: {**data, "credits": 40_300}, "The first allowance is not the plan's."),
    (
        "reversal-of-another",
        6,
        lambda data: {**data, "generation_id": "picture"},
        "The dispute is about one charge, and another is given back.",
    ),
    (
        "reversal-amount",
        6,
        lambda data: {**data, "credits": 301, "balance_after": 27_001},
        "More is given back than was charged.",
    ),
    ("reversal-balance", 6, lambda data: {**data, "balance_after": 27_001}, "The reversal states another balance."),
    (
        "reversal-deducted",
        6,
        lambda data: {**data, "deducted_credits": 100, "balance_after": 26_900},
        "The reversal deducts what cannot be deducted.",
    ),
    (
        "reversal-of-no-dispute",
        6,
        lambda data: {**data, "dispute_id": "another"},
        "The dispute was upheld, and nothing was given back for it.",
    ),
    ("negative", 5, lambda data: {**data, "credits": -4_000}, "A charge has negative credits."),
    (
        "local-time",
        1,
        lambda data: {**data, "cycle": {**data["cycle"], "starts_at": "2024-01-31T11:00:00+01:00"}},
        "A stored instant is not in UTC.",
    ),
)
UNREADABLE: Edits = (
    ("text", 4, lambda data: {**data, "credits": "300"}, "Credits are a text."),
    ("unknown-setting", 4, lambda data: {**data, "settings": {"count": 2, "more": 1}}, "A setting is unknown."),
)
EDITS_OF_LIVES: tuple[tuple[str, str, Edit, str], ...] = (
    ("lapsed", "CycleReset", lambda data: {**data, "lapsed_credits": 1}, "Another balance lapsed than there was."),
    (
        "cycle-number",
        "CycleReset",
        lambda data: {**data, "cycle": {**data["cycle"], "number": 3}},
        "A cycle has another number than the next.",
    ),
    (
        "cycle-start",
        "CycleReset",
        lambda data: {**data, "cycle": {**data["cycle"], "starts_at": "2024-02-28T10:00:00Z"}},
        "A cycle does not begin where the one before ended.",
    ),
    (
        "upgrade-from",
        "PlanUpgraded",
        lambda data: {**data, "from_plan_id": "another"},
        "The upgrade is from another plan.",
    ),
    (
        "upgrade-balance",
        "PlanUpgraded",
        lambda data: {**data, "balance_before": 1},
        "The upgrade states another balance before it.",
    ),
    (
        "end-lapsed",
        "SubscriptionEnded",
        lambda data: {**data, "lapsed_credits": 1},
        "Another balance lapsed at the end than there was.",
    ),
)


def bad_events() -> Iterator[Vector]:
    """Make those that do not hold."""
    case = disputed()
    for name, version, edit, why in EDITS:
        yield _bad(name, forged(one_behind_the_other(edited(case.subscription, version, edit), case.dispute)), why)
    for name, version, edit, why in UNREADABLE:
        yield _bad(
            name, forged(one_behind_the_other(edited(case.subscription, version, edit), case.dispute), told=case), why
        )
    yield from _bad_lives()
    yield from _bad_streams(case.subscription, case.dispute)
    yield from _bad_disputes(case.subscription, case.dispute)


def _bad(name: str, content: bytes, why: str) -> Vector:
    return Vector(f"bad-evidence-event-{name}.zip", content, [str(KEY.key)], why=why)


def one_behind_the_other(
    subscription: Sequence[ChainedEvent], dispute: Sequence[ChainedEvent], charge_version: int | None = None
) -> Case:
    """Log both streams, the dispute's behind the subscription's."""
    behind = moved(dispute, FIRST_POSITION + len(subscription))
    return sealed(moved(subscription, FIRST_POSITION), behind, MemoryLog(), charge_version=charge_version)


def _bad_lives() -> Iterator[Vector]:
    """Resets, upgrades and ends that do not follow from what was before."""
    life = disputed(LIFE, outcome=None)
    topics = [event.topic for event in life.subscription]
    for name, topic, edit, why in EDITS_OF_LIVES:
        version = topics.index(topic) + 1
        yield _bad(name, forged(one_behind_the_other(edited(life.subscription, version, edit), life.dispute)), why)


def _bad_streams(sub: Sequence[ChainedEvent], dispute: Sequence[ChainedEvent]) -> Iterator[Vector]:
    twice = rewritten(sub, 5, lambda state: state.replace(b'"credits":4000', b'"credits":1,"credits":4000'))
    yield _bad(
        "equal-keys", forged(one_behind_the_other(twice, dispute)), "The stored JSON of an event has two equal keys."
    )
    grant = replace(sub[1], recorded_at=sub[4].recorded_at)
    granted = rechained([*sub[:5], grant, *sub[5:]])
    more = edited(granted, 7, lambda data: {**data, "balance_after": data["balance_after"] + 40_000})
    yield _bad("granted-again", forged(one_behind_the_other(more, dispute)), "An allowance is granted in mid-cycle.")
    restarted = rechained([*sub[:5], replace(sub[0], recorded_at=sub[4].recorded_at), *sub[5:]])
    yield _bad("started-again", forged(one_behind_the_other(restarted, dispute)), "The subscription starts twice.")


def _bad_disputes(sub: Sequence[ChainedEvent], dispute: Sequence[ChainedEvent]) -> Iterator[Vector]:
    reversed_twice = edited(rechained([*sub, sub[5]]), 7, lambda data: {**data, "balance_after": 27_300})
    yield _bad("reversed-twice", forged(one_behind_the_other(reversed_twice, dispute)), "A charge is given back twice.")
    yield _bad(
        "reversal-missing",
        forged(one_behind_the_other(sub[:5], dispute)),
        "The dispute was upheld, and nothing was given back.",
    )
    yield _bad(
        "not-decided",
        forged(one_behind_the_other(sub, dispute[:1])),
        "Credits were given back, and the dispute is open.",
    )
    yield _bad(
        "decided-twice",
        forged(one_behind_the_other(sub, rechained([*dispute, dispute[1]]))),
        "The dispute is decided twice.",
    )
    elsewhere = edited(dispute, 1, lambda data: {**data, "generation_id": "speech"})
    yield _bad(
        "dispute-of-another",
        forged(one_behind_the_other(sub, elsewhere)),
        "The dispute names another generation than the version has.",
    )
    other_id = edited(dispute, 1, lambda data: {**data, "subscription_id": "00000000-0000-4000-8000-000000000001"})
    yield _bad(
        "dispute-elsewhere", forged(one_behind_the_other(sub, other_id)), "The dispute is about another subscription."
    )
    part = edited(dispute, 2, lambda data: {**data, "credits": 100})
    yield _bad("other-part", forged(one_behind_the_other(sub, part)), "More was given back than was decided.")
    original = edited(dispute, 2, lambda data: {**data, "credit_to": "original_cycle"})
    yield _bad(
        "other-cycle",
        forged(one_behind_the_other(sub, original)),
        "The credits were given to another cycle than was decided.",
    )
    early = rechained([*sub[:3], replace(sub[3], recorded_at=sub[1].recorded_at), *sub[4:]])
    yield _bad(
        "back-in-time", forged(one_behind_the_other(early, dispute)), "An event was recorded before the one before it."
    )
