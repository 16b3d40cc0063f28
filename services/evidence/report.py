"""Writes the page of evidence for people: the charge, its price, and the outcome of the dispute.

The page loads nothing from elsewhere, and every text that customers or staff wrote is escaped.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Context, Decimal
from html import escape

import msgspec

from services.catalogue import Price
from services.dispute.events import Reason
from services.evidence.case import Case, Facts
from services.evidence.chart import balance_chart
from services.evidence.page import PAGE
from services.evidence.refusals import read_refusal
from services.ledger.records import ChainedEvent
from services.subscription.events import ChargeReversed
from services.subscription.wording import wording_of

EVENTS_AROUND = 6

_REASONS: dict[Reason, str] = {
    "unsatisfied": "The result was not satisfying.",
    "duplicate": "The same was charged before.",
    "generation_failed": "The generation failed.",
    "not_requested": "Nobody asked for it.",
    "wrong_price": "The price is wrong.",
    "other": "Another reason.",
}
_EXACT = Context(prec=80)
_UNITS = {"track": "track", "second": "second", "image": "image", "1000_characters": "thousand characters"}


def report_page(case: Case, facts: Facts, *, made_at: datetime) -> str:
    """Write the page as HTML."""
    charge = facts.charge
    return PAGE.substitute(
        title=escape(f"Dispute of {_counted(charge.credits, 'credit')} for {charge.model}"),
        headline=f"A charge of {_counted(charge.credits, 'credit')}, disputed",
        status=facts.dispute.state.status,
        verdict=escape(_verdict(facts)),
        charge=_rows(_charge(facts)),
        arithmetic=escape(arithmetic(charge.price, charge.credits)),
        rate_card=escape(charge.price.rate_card),
        effect=_effect(facts),
        cycle=facts.before.cycle.number,
        chart=_chart(facts, made_at),
        dispute=_rows(_dispute(facts, case)),
        events="".join(_events(facts, case)),
        refusals="".join(_refusals(case)),
        proof=_rows(_proof(case, facts, made_at)),
    )


def arithmetic(price: Price, charged_credits: int) -> str:
    """Write the price as a sum that anybody can follow: `2 tracks × 150 credits = 300 credits`."""
    units = _counted(price.quantity, _UNITS.get(price.unit, price.unit))
    amount = f"{units} × {_counted(price.credits_per_unit, 'credit')}"
    total = _EXACT.multiply(price.quantity, price.credits_per_unit)
    charged = _counted(charged_credits, "credit")
    return (
        f"{amount} = {charged}" if total == charged_credits else f"{amount} = {_plain(total)}, rounded up to {charged}"
    )


def _effect(facts: Facts) -> str:
    """Write what the charge did to the balance, as HTML."""
    before, after = facts.before.balance_credits, facts.after.balance_credits
    if facts.charge.is_late:
        held = (
            f"{_counted(facts.charge.held_credits or 0, 'credit')} had been held in cycle {facts.charge.cycle_number}"
        )
        return f"{held}, which had ended: the balance stayed {after:,}"
    return f"{before:,} credits before &minus; {facts.charge.credits:,} = {after:,} credits after"


def instant_in_words(at: datetime) -> str:
    """Write an instant to the microsecond, in UTC."""
    return f"{at:%-d %B %Y, %H:%M:%S}" + (f".{at:%f}" if at.microsecond else "") + " UTC"


def _verdict(facts: Facts) -> str:
    resolution = facts.dispute.state.resolution
    if resolution is None:
        return "The dispute is open: it has not been decided yet."
    if resolution.outcome == "rejected":
        return "The dispute was rejected. The charge stands."
    returned_credits = resolution.credits or facts.charge.credits
    were = "was" if returned_credits == 1 else "were"
    part = "" if returned_credits == facts.charge.credits else f", of {facts.charge.credits:,} that were charged"
    return f"The dispute was upheld. {_counted(returned_credits, 'credit')} {were} given back{part}."


def _charge(facts: Facts) -> Iterator[tuple[str, str]]:
    charge, stored = facts.charge, facts.charge_record.stored
    settings = charge.settings
    yield "What", f"{charge.asset_type}, made with {charge.model}"
    if settings.duration_seconds is not None:
        yield "Duration", f"{_plain(settings.duration_seconds)} seconds"
    if settings.count is not None:
        yield "How many", f"{settings.count:,}"
    if settings.resolution is not None:
        yield "Resolution", settings.resolution
    if settings.characters is not None:
        yield "Characters", f"{settings.characters:,}"
    if charge.member is not None:
        yield "For", charge.member
    if charge.held_credits is not None:
        yield "Held before", _counted(charge.held_credits, "credit")
    yield "When", instant_in_words(stored.recorded_at)
    yield "Plan", f"{facts.before.plan.name} ({facts.before.plan.billing_period})"
    yield "Generation", charge.generation_id
    yield "Subscription", str(stored.originator_id)


def _dispute(facts: Facts, case: Case) -> Iterator[tuple[str, str]]:
    head, state = facts.dispute, facts.dispute.state
    yield "Reason given", _REASONS[state.reason]
    yield "In words", state.note
    yield "Opened", f"{instant_in_words(head.opened_at)}, with key {_key_of(case.dispute[0])}"
    if (resolution := state.resolution) is not None:
        decided = f"{resolution.outcome}, {instant_in_words(head.recorded_at)}"
        yield "Decided", f"{decided}, with key {_key_of(case.dispute[-1])}"
        yield "Because", resolution.note
    if (reversal := facts.reversal) is not None:
        assert isinstance(reversal.event, ChargeReversed)
        returned = f"{_counted(reversal.event.credits, 'credit')}, to be used before the next reset"
        deducted = reversal.event.deducted_credits
        less = f", less {deducted:,} that the upgrade before had still to deduct" if deducted else ""
        yield "Given back", f"{returned}{less} (version {reversal.originator_version})"
    yield "Dispute", str(head.originator_id)


def _key_of(event: ChainedEvent) -> str:
    """Return the id of the key that an event was recorded for."""
    return str(msgspec.json.decode(event.state)["metadata"]["key_id"])


def _chart(facts: Facts, made_at: datetime) -> str:
    charge_version = facts.charge_record.originator_version
    marks = [(charge_version, "this charge")]
    if facts.reversal is not None:
        marks.append((facts.reversal.originator_version, "given back"))
    return balance_chart(facts.balance_course, facts.before.cycle, charge_version, marks, made_at)


def _events(facts: Facts, case: Case) -> Iterator[str]:
    """Write a row for each event recorded shortly before and after the charge."""
    version = facts.charge_record.originator_version
    first, last = max(1, version - EVENTS_AROUND), version + EVENTS_AROUND
    for each in facts.history[first - 1 : last]:
        kind = ' class="this"' if each.originator_version == version else ""
        when, words = escape(instant_in_words(each.stored.recorded_at)), escape(wording_of(each.event).sentence)
        yield f"<tr{kind}><td>{each.originator_version}</td><td>{when}</td><td>{words}</td></tr>"
    if len(case.subscription) > last:
        yield f"<tr><td></td><td></td><td>and {len(case.subscription) - last:,} more</td></tr>"


def _refusals(case: Case) -> Iterator[str]:
    """Write a row for each refusal around the charge."""
    for refusal in map(read_refusal, case.refusals.entries):
        when = escape(instant_in_words(refusal.refused_at))
        needed = "" if refusal.required_credits is None else f"{_counted(refusal.required_credits, 'credit')} needed, "
        words = f"{refusal.model} ({refusal.generation_id}): {refusal.code}, {needed}{refusal.balance_credits:,} there"
        yield f"<tr><td>{refusal.version}</td><td>{when}</td><td>{escape(words)}</td></tr>"
    if not case.refusals.entries:
        yield "<tr><td></td><td></td><td>Nothing.</td></tr>"


def _proof(case: Case, facts: Facts, made_at: datetime) -> Iterator[tuple[str, str]]:
    stored, checkpoint = facts.charge_record.stored, case.lineage.checkpoint
    yield "Hash of the charge", stored.hash.hex()
    yield (
        "Its place",
        f"version {stored.originator_version} of the subscription, position {stored.position} of the ledger",
    )
    yield "Sealed by", f"the checkpoint of size {checkpoint.size:,} of the log {checkpoint.origin}"
    yield "Signed with key", str(case.keys[-1])
    for witness in case.witnesses:
        yield "Witnessed by", str(witness)
    yield "This page made", instant_in_words(made_at)


def _counted(number: Decimal | int, word: str) -> str:
    is_plural = number != 1 and not word.endswith("s")
    return f"{_plain(Decimal(number))} {word}{'s' if is_plural else ''}"


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)


def _plain(value: Decimal) -> str:
    text = format(value, ",f")
    return text.rstrip("0").rstrip(".") if "." in text else text
