"""Computes what the facts of the model's subscription show at any instant.

A life is a list of eras, one from the start and one from each upgrade. Within an era the anchor stands still, so cycles
and terms follow from whole months; only what was scheduled in a term decides what comes after it. Nothing is counted as
it happens: each balance adds up the facts that lie in its interval.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from services.catalogue import Plan, Settings, UpgradePolicy
from tests.unit.subscription.plain_months import NEVER, months_later, months_passed


class Span(NamedTuple):
    """A cycle or a term: `[starts_at, ends_at)`."""

    number: int
    starts_at: datetime
    ends_at: datetime


class Change(NamedTuple):
    """A change that is scheduled for the end of the term; a downgrade names its plan."""

    kind: str
    plan_id: str | None
    effective_at: datetime


class Balance(NamedTuple):
    """All that a subscription shows at an instant, with every boundary applied that is due by then."""

    plan_id: str
    status: str
    balance_credits: int
    granted_credits: int
    used_credits: int
    reversed_credits: int
    carried_credits: int
    anchor_at: datetime
    cycle: Span
    term: Span
    scheduled_change: Change | None
    credits_renew_at: datetime | None
    version: int


@dataclass(frozen=True)
class Charge:
    """A charge, and the balance after it."""

    at: datetime
    generation_id: str
    model: str
    settings: Settings
    credits: int
    balance_after: int
    cycle_number: int


@dataclass(frozen=True)
class Reversal:
    """A charge was reversed, which was made in the era of that number."""

    at: datetime
    credits: int
    era: int


@dataclass(frozen=True)
class Taken:
    """Credits were taken, to correct an error."""

    at: datetime
    credits: int


@dataclass(frozen=True)
class Scheduled:
    """A change was scheduled for the end of the term, or (`nothing`) withdrawn."""

    at: datetime
    kind: Literal["cancel", "downgrade", "nothing"]
    plan: Plan | None = None


@dataclass(frozen=True)
class EndedAtOnce:
    """The subscription was cancelled on the spot."""

    at: datetime


@dataclass(frozen=True)
class Alerted:
    """The subscription got thresholds of its own, or lost them."""

    at: datetime


Fact = Charge | Reversal | Taken | Scheduled | EndedAtOnce | Alerted


@dataclass(frozen=True)
class Era:
    """The time from the start, or from an upgrade, to the next upgrade. The first era has no policy."""

    anchor_at: datetime
    plan: Plan
    policy: UpgradePolicy | None
    facts: list[Fact] = field(default_factory=list)


class Term(NamedTuple):
    """A term of an era, and the last change scheduled in it for its end; months count from the era's anchor."""

    plan: Plan
    end_month: int
    starts_at: datetime
    ends_at: datetime
    scheduled: Scheduled | None

    @property
    def change(self) -> Change | None:
        """The change that is scheduled for the term's end."""
        if self.scheduled is None or self.scheduled.kind == "nothing":
            return None
        plan_id = self.scheduled.plan.plan_id if self.scheduled.plan else None
        return Change(self.scheduled.kind, plan_id, self.ends_at)


class Moment(NamedTuple):
    """An instant of an era. At the instant of an upgrade, the earlier era comes first."""

    era: int
    at: datetime


class Movements(NamedTuple):
    """Credits used, and credits reversed."""

    used: int
    reversed: int


class Counters(NamedTuple):
    """The four numbers of a balance."""

    granted: int
    used: int
    reversed: int
    carried: int


class Life:
    """The eras of one subscription and the facts in them."""

    def __init__(self) -> None:
        self.eras: list[Era] = []
        self._balances: dict[datetime, Balance] = {}  # since the last fact

    def begin(self, era: Era) -> None:
        """Begin a new era, at its anchor."""
        self.eras.append(era)
        self._balances.clear()

    def add(self, fact: Fact) -> None:
        """Add a fact to the present era."""
        self.eras[-1].facts.append(fact)
        self._balances.clear()

    def balance_at(self, at: datetime) -> Balance:
        """Return the balance at an instant not before the start."""
        if at not in self._balances:
            number = max(number for number, era in enumerate(self.eras) if era.anchor_at <= at)
            self._balances[at] = self._balance_in(number, at)
        return self._balances[at]

    def balance_with(self, upgrade: Era) -> int:
        """Return the credits that there would be just after an upgrade."""
        life = Life()
        life.eras = [*self.eras, upgrade]
        return life.balance_at(upgrade.anchor_at).balance_credits

    def era_of(self, charge: Charge) -> int:
        """Return the number of the era in which a charge was made."""
        return next(number for number, era in enumerate(self.eras) if charge in era.facts)

    def plan(self, at: datetime) -> Plan:
        """Return the plan at an instant of the present era."""
        return _terms(self.eras[-1], at)[-1].plan

    def scheduled_plan(self, at: datetime) -> Plan | None:
        """Return the plan, as it was agreed, to which a change is scheduled at an instant of the present era."""
        scheduled = _terms(self.eras[-1], at)[-1].scheduled
        return scheduled.plan if scheduled else None

    def _balance_in(self, number: int, at: datetime) -> Balance:
        """Compute the balance at an instant, in an era that began by then."""
        era = self.eras[number]
        ended_at_once = next((fact for fact in era.facts if isinstance(fact, EndedAtOnce) and fact.at <= at), None)
        until = ended_at_once.at if ended_at_once else at
        terms = _terms(era, until)
        term, change = terms[-1], terms[-1].change
        is_cancelling = change is not None and change.kind == "cancel"
        has_run_out = ended_at_once is None and is_cancelling and term.ends_at <= at and term.ends_at != NEVER
        is_ended = has_run_out or ended_at_once is not None
        month = term.end_month - 1 if has_run_out else months_passed(era.anchor_at, until)
        starts_at, ends_at = (months_later(era.anchor_at, each) for each in (month, month + 1))
        is_last = is_ended or ends_at == NEVER or (is_cancelling and ends_at == term.ends_at)
        counters = Counters(0, 0, 0, 0) if is_ended else self._counters(number, at, Moment(number, at))
        cycles, earlier_terms, events = self._counts_before(number)
        facts = sum(2 if isinstance(fact, EndedAtOnce) else 1 for fact in era.facts if fact.at <= at)
        return Balance(
            plan_id=term.plan.plan_id,
            status="ended" if is_ended else "cancelling" if is_cancelling else "active",
            balance_credits=counters.granted - counters.used + counters.reversed,
            granted_credits=counters.granted,
            used_credits=counters.used,
            reversed_credits=counters.reversed,
            carried_credits=counters.carried,
            anchor_at=era.anchor_at,
            cycle=Span(cycles + month + 1, starts_at, ends_at),
            term=Span(earlier_terms + len(terms), term.starts_at, term.ends_at),
            scheduled_change=None if is_ended else change,
            credits_renew_at=None if is_last else ends_at,
            version=events + facts + month + (len(terms) - 1) + has_run_out,
        )

    def _counts_before(self, number: int) -> tuple[int, int, int]:
        """Count the cycles and terms of earlier eras, and the events up to and with the one that began this era."""
        if number == 0:
            return 0, 0, 2  # the start, and the first grant
        before = self._balance_in(number - 1, self.eras[number].anchor_at)
        return before.cycle.number, before.term.number, before.version + 1

    def _counters(self, number: int, at: datetime, known: Moment) -> Counters:
        """Compute the counters at an instant of an era from the facts that are known at a moment.

        An era's first cycle opens as its upgrade's policy has it. Under `add_leftover`, what the upgrade granted stays
        as it was, and `used` is what the balance leaves of that.
        """
        era, month = self.eras[number], self._month(number, at)
        now = self._movements(number, at, known)
        allowance = _terms(era, at)[-1].plan.monthly_credits
        match era.policy if month == 0 else None:
            case "add_leftover":
                balance = allowance + self._left(number - 1, known) - now.used + now.reversed
                leftover = self._left(number - 1, Moment(number - 1, era.anchor_at))
                granted = allowance + leftover
                reversed_here = sum(fact.credits for fact in era.facts if isinstance(fact, Reversal) and fact.at <= at)
                return Counters(granted, granted + reversed_here - balance, reversed_here, leftover)
            case "deduct_used":
                before = self._movements_since_reset(number - 1, era.anchor_at, known)
                deducted = min(before.used, allowance + before.reversed)
                return Counters(allowance, deducted + now.used, before.reversed + now.reversed, 0)
            case "fresh" | None:
                return Counters(allowance, now.used, now.reversed, 0)

    def _left(self, number: int, known: Moment) -> int:
        """Compute what is left at the end of an era."""
        counters = self._counters(number, self.eras[number + 1].anchor_at, known)
        return counters.granted - counters.used + counters.reversed

    def _movements_since_reset(self, number: int, at: datetime, known: Moment) -> Movements:
        """Sum what was used and reversed since the last reset, across the upgrades since."""
        now = self._movements(number, at, known)
        if self._month(number, at) > 0 or number == 0:
            return now
        before = self._movements_since_reset(number - 1, self.eras[number].anchor_at, known)
        return Movements(before.used + now.used, before.reversed + now.reversed)

    def _movements(self, number: int, at: datetime, known: Moment) -> Movements:
        """Sum the credits used and reversed in the cycle of an era that has an instant, up to and at that instant.

        A reversal counts where `_era_of_reversal` has it, and there at the end.
        """
        era = self.eras[number]
        since = months_later(era.anchor_at, self._month(number, at))
        used = sum(fact.credits for fact in era.facts if isinstance(fact, Charge | Taken) and since <= fact.at <= at)
        reversed_credits = 0
        for place, each in enumerate(self.eras):
            for fact in each.facts:
                if isinstance(fact, Reversal) and Moment(place, fact.at) <= known:
                    counts_in = self._era_of_reversal(place, fact)
                    is_in_time = place > number or since <= fact.at <= at
                    reversed_credits += fact.credits if counts_in == number and is_in_time else 0
        return Movements(used, reversed_credits)

    def _era_of_reversal(self, number: int, reversal: Reversal) -> int:
        """Return the era in which a reversal counts that was made in the era of that number.

        Its order makes no difference with an upgrade after the charge, but under `fresh`. So it counts before the
        upgrade that began its era, and before those that come before that one, back to the last reset.
        """
        at = reversal.at
        while number > reversal.era and self._month(number, at) == 0 and self.eras[number].policy != "fresh":
            number, at = number - 1, self.eras[number].anchor_at
        return number

    def _month(self, number: int, at: datetime) -> int:
        return months_passed(self.eras[number].anchor_at, at)


def _terms(era: Era, at: datetime) -> list[Term]:
    """List the terms of an era that began by an instant; the last one has the instant, or ends the subscription."""
    scheduled_facts = [fact for fact in era.facts if isinstance(fact, Scheduled) and fact.at <= at]
    plan, month, terms = era.plan, 0, list[Term]()
    while True:
        end_month = month + (12 if plan.billing_period == "yearly" else 1)
        starts_at, ends_at = months_later(era.anchor_at, month), months_later(era.anchor_at, end_month)
        in_term = [fact for fact in scheduled_facts if starts_at <= fact.at and (fact.at < ends_at or ends_at == NEVER)]
        scheduled = in_term[-1] if in_term else None
        terms.append(Term(plan, end_month, starts_at, ends_at, scheduled))
        if ends_at > at or ends_at == NEVER or (scheduled and scheduled.kind == "cancel"):
            return terms
        plan, month = (scheduled and scheduled.plan) or plan, end_month
