"""A subscription as the rules of the specification have it: R1 to R14, H1 to H9, suspension. No code of the service."""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from tests.unit.subscription.plain_months import months_later

ALL = frozenset(("voiceover", "image", "video", "music"))
OPEN_HOLDS_MAX = 1_000


@dataclass(frozen=True)
class Plan:
    """A plan of the packaged catalogue."""

    tier: int
    monthly_credits: int
    term_months: int
    asset_types: frozenset[str] = ALL


_PACKAGES = {
    "ai-starter-7500": (1, 7_500, frozenset(("voiceover",))),
    "ai-starter-16500": (2, 16_500, ALL),
    "ai-suite-40000": (3, 40_000, ALL),
    "max-pro-40000": (4, 40_000, ALL),
    "max-pro-240000": (5, 240_000, ALL),
}
PLANS = {
    f"{name}-{period}": Plan(tier, monthly_credits, months, asset_types)
    for name, (tier, monthly_credits, asset_types) in _PACKAGES.items()
    for period, months in (("monthly", 1), ("yearly", 12))
}
MODELS = {"lyria-3": "music", "lyria-3-pro": "music", "example-video-1": "video", "example-voice-1": "voiceover"}


def price(model: str, settings: dict[str, int]) -> int:
    """The credits of a generation by the packaged rate card."""
    match model:
        case "lyria-3":
            credits_exactly = Fraction(150) * settings.get("count", 1)
        case "lyria-3-pro":
            credits_exactly = Fraction(300) * settings.get("count", 1)
        case "example-video-1":
            credits_exactly = Fraction("12.5") * settings["duration_seconds"] * settings.get("count", 1)
        case _:
            credits_exactly = Fraction(30 * settings["characters"], 1_000)
    return max(1, math.ceil(credits_exactly))


@dataclass
class Generation:
    """What took an id: a charge, or a hold and what became of it."""

    model: str
    settings: dict[str, int]
    member: str | None
    credits: int
    cycle: int
    expires_in_seconds: int | None = None
    expires_at: datetime | None = None
    status: str = "charged"
    captured: tuple[dict[str, int], int] | None = None
    is_given_back: bool = False

    @property
    def is_hold(self) -> bool:
        """Whether the id was taken by a hold."""
        return self.expires_at is not None


@dataclass
class Model:
    """The subscription; each request answers with the code of its refusal, or with the status of its success."""

    plan_id: str
    policy: str
    now: datetime
    cycle: int = 1
    term: int = 1
    cycle_month: int = 0
    granted: int = 0
    used: int = 0
    given_back: int = 0
    carried: int = 0
    used_since_reset: int = 0
    given_back_since_reset: int = 0
    scheduled: str | None = None
    """`cancel`, or the plan of a downgrade."""
    is_suspended: bool = False
    has_ended: bool = False
    generations: dict[str, Generation] = field(default_factory=dict)
    events: list[str] = field(default_factory=lambda: ["SubscriptionStarted", "CreditsGranted"])

    def __post_init__(self) -> None:
        self.anchor = self.now
        self.granted = self.plan.monthly_credits
        self.term_end_month = self.plan.term_months

    @property
    def plan(self) -> Plan:
        """The plan that it has."""
        return PLANS[self.plan_id]

    @property
    def balance(self) -> int:
        """What is not spent."""
        return self.granted - self.used + self.given_back

    @property
    def open_holds(self) -> list[tuple[str, Generation]]:
        """The holds that are open, in the order in which they were made."""
        return [(id, each) for id, each in self.generations.items() if each.status == "held"]

    @property
    def held(self) -> int:
        """What open holds of this cycle keep."""
        return sum(each.credits for _, each in self.open_holds if self._is_current(each))

    @property
    def status(self) -> str:
        """The status that is shown."""
        if self.has_ended:
            return "ended"
        return "suspended" if self.is_suspended else "cancelling" if self.scheduled == "cancel" else "active"

    @property
    def cycle_ends_at(self) -> datetime:
        """The end of the cycle."""
        return months_later(self.anchor, self.cycle_month + 1)

    @property
    def term_ends_at(self) -> datetime:
        """The end of the term."""
        return months_later(self.anchor, self.term_end_month)

    @property
    def renews_at(self) -> datetime | None:
        """When credits renew next; None where they will not."""
        is_last = self.scheduled == "cancel" and self.cycle_ends_at == self.term_ends_at
        return None if self.has_ended or is_last else self.cycle_ends_at

    def boundaries(self) -> list[datetime]:
        """The instants at which time alone changes something, as far as they are known."""
        of_cycle = [] if self.has_ended else [self.cycle_ends_at, self.term_ends_at]
        return sorted(of_cycle + [each.expires_at for _, each in self.open_holds if each.expires_at is not None])

    def advance(self, to: datetime) -> None:
        """Let time pass; at one instant the cycle ends before holds expire."""
        while due := [at for at in self.boundaries() if at <= to]:
            at = due[0]
            if not self.has_ended and at == self.cycle_ends_at:
                self._end_cycle(at)
            for _, each in self.open_holds:
                if each.expires_at == at:
                    each.status = "expired"
                    self.events.append("HoldReleased")
        self.now = to

    def charge(self, id: str, model: str, settings: dict[str, int], member: str | None) -> str | int:
        """R2, R10, R11."""
        if (known := self.generations.get(id)) is not None:
            is_same = not known.is_hold and (known.model, known.settings, known.member) == (model, settings, member)
            return 200 if is_same else "generation_id_conflict"
        cost = price(model, settings)
        if (refusal := self._refusal(model, cost)) is not None:
            return refusal
        self.generations[id] = Generation(model, settings, member, cost, self.cycle)
        self._spend(cost)
        self.events.append("GenerationCharged")
        return 201

    def hold(self, id: str, model: str, settings: dict[str, int], member: str | None, seconds: int) -> str | int:
        """H1, H2, H9."""
        if (known := self.generations.get(id)) is not None:
            first = (known.model, known.settings, known.member, known.expires_in_seconds)
            return 200 if known.is_hold and first == (model, settings, member, seconds) else "generation_id_conflict"
        cost = price(model, settings)
        if (refusal := self._refusal(model, cost, is_hold=True)) is not None:
            return refusal
        expires_at = self.now + timedelta(seconds=seconds)
        self.generations[id] = Generation(model, settings, member, cost, self.cycle, seconds, expires_at, "held")
        self.events.append("CreditsHeld")
        return 201

    def capture(self, id: str, settings: dict[str, int] | None) -> str | int:
        """H3, H5, H6."""
        known = self.generations.get(id)
        if known is None or not known.is_hold:
            return "unknown_hold"
        asked = known.settings if settings is None else settings
        if known.captured is not None:
            return 200 if known.captured[0] == asked else "generation_id_conflict"
        if known.status != "held":
            return f"hold_{known.status}"
        cost = price(known.model, asked)
        if self._is_current(known):
            if cost - known.credits > self.balance - self.held:
                return "insufficient_credits"
            self._spend(cost)
        elif cost > known.credits:
            return "cycle_closed"
        known.status, known.captured = "captured", (asked, cost)
        self.events.append("GenerationCharged")
        return 201

    def release(self, id: str) -> str | int:
        """H4."""
        known = self.generations.get(id)
        if known is None or not known.is_hold:
            return "unknown_hold"
        if known.status == "captured":
            return "generation_id_conflict"
        if known.status == "expired":
            return "hold_expired"
        if known.status == "held":
            known.status = "released"
            self.events.append("HoldReleased")
        return 200

    def upgrade(self, plan_id: str) -> str | int:
        """R4 to R8, R12, H7."""
        plan = PLANS[plan_id]
        if self.has_ended:
            return "subscription_ended"
        if plan.tier <= self.plan.tier:
            return "not_an_upgrade"
        left, held = self.balance, self.held
        granted, used, given_back, carried = plan.monthly_credits, 0, 0, 0
        if self.policy == "deduct_used":
            given_back = self.given_back_since_reset
            used = min(self.used_since_reset, granted + given_back)
        elif self.policy == "add_leftover":
            granted, carried = granted + left, left
        if granted - used + given_back < held:
            return "holds_outstanding"
        for _, each in self.open_holds:
            if self._is_current(each):
                each.cycle = self.cycle + 1
        self.granted, self.used, self.given_back, self.carried = granted, used, given_back, carried
        self.plan_id, self.scheduled, self.anchor = plan_id, None, self.now
        self.cycle, self.term = self.cycle + 1, self.term + 1
        self.cycle_month, self.term_end_month = 0, plan.term_months
        self.events.append("PlanUpgraded")
        return 200

    def downgrade(self, plan_id: str) -> str | int:
        """A change for the end of the term."""
        if self.has_ended:
            return "subscription_ended"
        if PLANS[plan_id].tier > self.plan.tier or plan_id == self.plan_id:
            return "not_a_downgrade"
        if self.scheduled != plan_id:
            self.scheduled = plan_id
            self.events.append("PlanChangeScheduled")
        return 200

    def cancel(self, when: str) -> str | int:
        """The end, of the term or now."""
        if self.has_ended:
            return "subscription_ended"
        if when == "now":
            self.events.append("SubscriptionCancelled")
            self._end()
        elif self.scheduled != "cancel":
            self.scheduled = "cancel"
            self.events.append("SubscriptionCancelled")
        return 200

    def resume(self) -> str | int:
        """Take the scheduled change back."""
        if self.has_ended:
            return "subscription_ended"
        if self.scheduled is None:
            return "nothing_scheduled"
        self.scheduled = None
        self.events.append("PlanChangeUnscheduled")
        return 200

    def suspend(self, *, is_suspended: bool) -> str | int:
        """Suspend, or reinstate."""
        if self.has_ended:
            return "subscription_ended"
        if self.is_suspended != is_suspended:
            self.is_suspended = is_suspended
            self.events.append("SubscriptionSuspended" if is_suspended else "SubscriptionReinstated")
        return 200

    def give_back(self, id: str, part: int, credit_to: str) -> str | int:
        """A dispute that is upheld."""
        known = self.generations[id]
        if known.is_given_back:
            return "charge_already_reversed"
        if self.has_ended:
            return "subscription_ended"
        if credit_to == "original_cycle" and known.cycle != self.cycle:
            return "cycle_closed"
        known.is_given_back = True
        self.given_back += part
        self.given_back_since_reset += part
        self.events.append("ChargeReversed")
        return 200

    def _refusal(self, model: str, cost: int, *, is_hold: bool = False) -> str | None:
        if self.has_ended:
            return "subscription_ended"
        if self.is_suspended:
            return "subscription_suspended"
        if MODELS[model] not in self.plan.asset_types:
            return "not_in_plan"
        if is_hold and len(self.open_holds) >= OPEN_HOLDS_MAX:
            return "too_many_holds"
        return "insufficient_credits" if cost > self.balance - self.held else None

    def _is_current(self, hold: Generation) -> bool:
        return hold.cycle == self.cycle and not self.has_ended

    def _spend(self, cost: int) -> None:
        self.used += cost
        self.used_since_reset += cost

    def _end_cycle(self, at: datetime) -> None:
        is_term_end = at == self.term_ends_at
        if is_term_end and self.scheduled == "cancel":
            self._end()
            return
        self.events.append("CycleReset")
        if is_term_end:
            if self.scheduled is not None:
                self.plan_id, self.scheduled = self.scheduled, None
            self.term += 1
            self.term_end_month += self.plan.term_months
            self.events.append("TermRenewed")
        self.cycle += 1
        self.cycle_month += 1
        self._begin(self.plan.monthly_credits)

    def _end(self) -> None:
        self.has_ended, self.scheduled = True, None
        self.events.append("SubscriptionEnded")
        self._begin(0)

    def _begin(self, granted: int) -> None:
        self.granted, self.used, self.given_back, self.carried = granted, 0, 0, 0
        self.used_since_reset = self.given_back_since_reset = 0
