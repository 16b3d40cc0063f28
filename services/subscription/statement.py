"""Folds the events of one credit cycle into a statement, whose lines add up to its figures.

The event that begins a cycle says what the balance was before it. From there each line moves the balance by its
credits, so that a statement needs the events of its own cycle and nothing else.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

from services.subscription.events import (
    ChargeReversed,
    CreditsAdjusted,
    CreditsGranted,
    CycleReset,
    GenerationCharged,
    HoldReleased,
    PlanUpgraded,
    SubscriptionEnded,
)

LineKind = Literal["granted", "brought_along", "charged", "reversed", "adjusted", "lapsed", "held_over", "late"]


class StatementLine(Struct, frozen=True, gc=False):
    """What moved the balance, by how many credits, and what the balance then was.

    A line of the kind `late` moves nothing: it says what became of a hold that was held over from an earlier cycle.
    """

    at: datetime
    kind: LineKind
    credits: Annotated[int, Meta(description="Signed.", examples=[-150])]
    balance_after: int
    text: Annotated[str, Meta(examples=["150 credits for music with lyria-3 (track-7f3a); 39,850 left."])]
    generation_id: str | UnsetType = UNSET


class ChargeInBrief(Struct, frozen=True, gc=False):
    """What a statement needs of a `GenerationCharged`, whose JSON is decoded as this in a third of the time."""

    generation_id: str
    model: str
    asset_type: str
    credits: int
    cycle_number: int
    member: str | None = None
    held_credits: int | None = None
    is_late: bool = False


class Figures(NamedTuple):
    """`opening + granted - used + reversed - lapsed - held = closing`; `carried` is a part of what is in these."""

    opening_credits: int = 0
    granted_credits: int = 0
    carried_credits: int = 0
    used_credits: int = 0
    reversed_credits: int = 0
    lapsed_credits: int = 0
    held_credits: int = 0
    closing_credits: int = 0


class CycleFold:
    """Folds the events of one cycle, in order, into lines and figures."""

    def __init__(self) -> None:
        self.lines: list[StatementLine] = []
        self._carried = 0
        self._balance: int | None = None
        self._opening = 0

    @property
    def figures(self) -> Figures:
        """The sums of the lines so far."""
        kinds: tuple[LineKind, ...] = get_args(LineKind)
        plus, minus = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
        for line in self.lines:
            (plus if line.credits > 0 else minus)[line.kind] += line.credits
        return Figures(
            opening_credits=self._opening,
            granted_credits=plus["granted"],
            carried_credits=self._carried,
            used_credits=-minus["charged"] - minus["brought_along"] - minus["adjusted"],
            reversed_credits=plus["reversed"] + plus["adjusted"],
            lapsed_credits=-minus["lapsed"],
            held_credits=-minus["held_over"],
            closing_credits=self._balance or 0,
        )

    def take(self, event: Any, at: datetime) -> None:
        """Add the lines of the next event, which was at an instant; the first one begins the cycle."""
        balance = self._balance
        if balance is None:
            balance = self._opening = _balance_before(event)
        elif isinstance(event, ChargeInBrief) and not event.is_late:  # nearly all are: without a move in between
            self._balance = balance - event.credits
            line = StatementLine(at, "charged", -event.credits, self._balance, _text_of(event), event.generation_id)
            self.lines.append(line)
            return
        if isinstance(event, PlanUpgraded):
            self._carried = _carried(event)
        for move in _moves(event, at, balance):
            balance += move.credits
            self.lines.append(StatementLine(move.at, move.kind, move.credits, balance, move.text, move.generation_id))
        self._balance = balance


class _Move(NamedTuple):
    at: datetime
    kind: LineKind
    credits: int
    text: str
    generation_id: str | UnsetType = UNSET


def _balance_before(beginning: Any) -> int:
    match beginning:
        case CycleReset(lapsed_credits=lapsed_credits, held_credits=held_credits):
            return lapsed_credits + held_credits
        case PlanUpgraded(balance_before=balance_before):
            return balance_before
        case _:
            return 0


def _balance_of(event: PlanUpgraded) -> int:
    return event.granted_credits - event.used_credits + event.reversed_credits


def _carried(event: PlanUpgraded) -> int:
    """Return what lived on through an upgrade: all of the balance, or as much of it as there is after."""
    if event.policy == "fresh":
        return 0
    return event.carried_credits or min(event.balance_before, _balance_of(event))


def _moves(event: Any, at: datetime, balance: int) -> Iterable[_Move]:
    """Return how an event moves a balance; most events that are no charge do not."""
    match event:
        case GenerationCharged() | ChargeInBrief():
            return (_charge(event, at),)
        case CreditsGranted():
            return _grant(event, at)
        case ChargeReversed():
            return (_reversal(event, at),)
        case CreditsAdjusted(credits=credits, reason=reason):
            return (_Move(at, "adjusted", credits, f"{abs(credits):,} credits were adjusted: {reason}"),)
        case CycleReset():
            begins_at, number = event.cycle.starts_at, event.cycle.number
            text = f"{event.granted_credits:,} credits were granted, the allowance of cycle {number}."
            granted = _Move(begins_at, "granted", event.granted_credits, text)
            return (*_ending(event, begins_at, "with the cycle before"), granted)
        case SubscriptionEnded():
            return _ending(event, event.ended_at, "with the end of the subscription")
        case PlanUpgraded():
            return _upgrade(event, at, balance)
        case HoldReleased(lapsed_credits=lapsed_credits) if lapsed_credits:
            ended = "expired" if event.cause == "expired" else "was released"
            text = f"The hold of {lapsed_credits:,} credits, held over from cycle {event.cycle_number}, {ended}."
            return (_Move(at, "late", 0, text, event.generation_id),)
        case _:
            return ()


def _charge(event: GenerationCharged | ChargeInBrief, at: datetime) -> _Move:
    kind: LineKind = "late" if event.is_late else "charged"
    return _Move(at, kind, 0 if event.is_late else -event.credits, _text_of(event), event.generation_id)


def _text_of(event: GenerationCharged | ChargeInBrief) -> str:
    by = "" if event.member is None else f", by {event.member}"
    of = ""
    if event.is_late:
        of = f", of what was held over from cycle {event.cycle_number}"
    elif event.held_credits is not None:
        of = f", of {event.held_credits:,} that were held"
    return f"{event.credits:,} credits for {event.asset_type} with {event.model}{by}{of}."


def _grant(event: CreditsGranted, at: datetime) -> Iterator[_Move]:
    yield _Move(at, "granted", event.credits, f"{event.credits:,} credits were granted, the first allowance.")
    if event.used_credits:
        text = f"{event.used_credits:,} credits had been used before the subscription moved in."
        yield _Move(at, "brought_along", -event.used_credits, text)


def _reversal(event: ChargeReversed, at: datetime) -> _Move:
    text = f"{event.credits:,} credits were given back for {event.generation_id}"
    if event.deducted_credits:
        text += f", less {event.deducted_credits:,} that an upgrade could not deduct"
    return _Move(at, "reversed", event.credits - event.deducted_credits, f"{text}.", event.generation_id)


def _ending(event: CycleReset | SubscriptionEnded, at: datetime, when: str) -> Iterator[_Move]:
    if event.lapsed_credits:
        yield _Move(at, "lapsed", -event.lapsed_credits, f"{event.lapsed_credits:,} unused credits lapsed {when}.")
    if event.held_credits:
        text = f"{event.held_credits:,} credits stay held, for generations that are under way."
        yield _Move(at, "held_over", -event.held_credits, text)


def _upgrade(event: PlanUpgraded, at: datetime, balance: int) -> Iterator[_Move]:
    """Yield what an upgrade grants or lets lapse; by `fresh`, all that was left lapses before."""
    to_plan = f"with the upgrade to {event.plan.name}"
    if event.policy == "fresh" and balance:
        yield _Move(at, "lapsed", -balance, f"{balance:,} unused credits lapsed {to_plan}.")
        balance = 0
    difference = _balance_of(event) - balance
    if difference >= 0:
        yield _Move(at, "granted", difference, f"{difference:,} credits were granted {to_plan}.")
    else:
        yield _Move(at, "lapsed", difference, f"{-difference:,} credits lapsed {to_plan}.")
