"""Plays scenarios that are text tables: an instant, a command, its outcome.

    2024-01-31 10:00 | start ai-suite-40000-monthly   | balance 40,000  renews 2024-02-29 10:00
    2024-02-05       | charge 1,000                   | balance 39,000 of 40,000
    2024-02-10 12:00 | upgrade max-pro-240000-monthly | balance 239,000 of 240,000  cycle 2
                     | charge 240,000                 | refused insufficient_credits

The rows above the last are the given history. An empty first column is the instant of the row before; a row whose
second column is empty reads the state as of that instant. The last column names any of `VIEWS`, and `recorded` with the
events, in order. Unless it has `refused` or `answered`, the command must be carried out.

    charge CREDITS [ASSET_TYPE] [as ID]      one credit a character, by default of music
    generate MODEL [SETTING=VALUE ...] [as ID]
    hold CREDITS [ASSET_TYPE] [SECONDSs] as ID       capture ID [CREDITS]       release ID
    start, upgrade, downgrade PLAN           cancel [now]       resume       record
    alerts [THRESHOLD]...                    thresholds of its own; alerts catalogue: those of the catalogue
    adopt PLAN                               takes the present terms of its plan at the end of the term
    adjust CREDITS RUN                       gives credits, or takes them (minus), once per run of a what-if
    reverse ID [original_cycle]              reverses a charge, by default to the current cycle
    catalogue EDITION                        from here on, that edition of the catalogue holds
"""

import shlex
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from services.catalogue import Catalogue, Settings
from services.subscription.commands import (
    HOLD_SECONDS,
    AdjustCredits,
    AdoptTerms,
    CancelSubscription,
    CaptureHold,
    ChangeAlerts,
    ChargeGeneration,
    Command,
    HoldCredits,
    RecordDue,
    ReleaseHold,
    ResumeSubscription,
    ScheduleDowngrade,
    StartSubscription,
    UpgradePlan,
)
from services.subscription.state import Subscription
from tests.unit.subscription.catalogues import odd_catalogue
from tests.unit.subscription.history import Answer, History

VIEWS: Mapping[str, Callable[[Subscription], object]] = {
    "balance": lambda state: f"{state.balance_credits:,}",
    "held": lambda state: f"{state.held_credits:,}",
    "available": lambda state: f"{state.available_credits:,}",
    "open": lambda state: " ".join(f"{each.generation_id}@{each.cycle_number}" for each in state.holds) or "none",
    "of": lambda state: f"{state.granted_credits:,}",
    "used": lambda state: f"{state.used_credits:,}",
    "reversed": lambda state: f"{state.reversed_credits:,}",
    "carried": lambda state: f"{state.carried_credits:,}",
    "plan": lambda state: state.plan.plan_id,
    "status": lambda state: state.status,
    "version": lambda state: state.version,
    "renews": lambda state: _written(state.credits_renew_at),
    "anchor": lambda state: _written(state.anchor_at),
    "cycle": lambda state: state.cycle.number,
    "cycle_ends": lambda state: _written(state.cycle.ends_at),
    "term": lambda state: state.term.number,
    "term_ends": lambda state: _written(state.term.ends_at),
    "scheduled": lambda state: _scheduled(state),
}
ANSWERS: Mapping[str, Callable[[Answer], object]] = {
    "refused": lambda answer: answer.code,
    "answered": lambda answer: answer.code,
    "recorded": lambda answer: " ".join(type(event).__name__ for event in answer.events),
}


def play(table: str, catalogue: Catalogue | None = None) -> History:
    """Play the rows of a table in order, check each, and return the history. AssertionError names the row."""
    history = History(catalogue or odd_catalogue())
    go_on(history, table)
    return history


def go_on(history: History, table: str) -> Answer | None:
    """Play further rows on a history, check each, and return the answer of the last, if that is a command."""
    at: datetime | None = None
    answer: Answer | None = None
    for row in filter(str.strip, table.splitlines()):
        when, command, expected = (column.strip() for column in row.split("|"))
        at = instant(when) if when else at
        assert at is not None, f"the first row has an instant: {row}"
        answer = history.apply(_command(history, command), at) if command else None
        state = history.state_at(at) if history.state else None
        expectations = dict(_expectations(expected))
        if answer is not None and "refused" not in expectations:
            expectations.setdefault("answered", "unchanged" if command == "record" else "done")
        for name, value in expectations.items():
            actual = _actual(name, answer, state)
            assert actual == value, f"{row.strip()}\n    {name}: {actual}, not {value}"
    return answer


def instant(text: str) -> datetime:
    """Parse a date, or a date and time of any precision, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _expectations(text: str) -> Iterator[tuple[str, str]]:
    """Split `name value value name value` into pairs; a word that is no name continues the value before it."""
    name, values = "", list[str]()
    for word in text.split():
        if word in VIEWS or word in ANSWERS:
            if name:
                yield name, " ".join(values)
            name, values = word, []
        else:
            assert name, f"not the name of a view: {word}"
            values.append(word)
    if name:
        yield name, " ".join(values)


def _actual(name: str, answer: Answer | None, state: Subscription | None) -> str:
    if name in ANSWERS:
        assert answer is not None, "a row without a command has no answer"
        return str(ANSWERS[name](answer))
    assert state is not None, "there is no subscription yet"
    return str(VIEWS[name](state))


def _command(history: History, text: str) -> Command:
    word, *arguments = shlex.split(text)
    match word, arguments:
        case "start", [plan_id]:
            return StartSubscription("account", plan_id)
        case "charge" | "generate", [*what, "as", generation_id]:
            return _charge(word, what, generation_id)
        case "charge" | "generate", what:
            return _charge(word, what, f"generation-{len(history.charges) + 1}")
        case "hold", [*what, "as", generation_id]:
            return _hold(what, generation_id)
        case "capture", [generation_id]:
            return CaptureHold(generation_id)
        case "capture", [generation_id, credits]:
            return CaptureHold(generation_id, _characters(credits))
        case "release", [generation_id]:
            return ReleaseHold(generation_id)
        case "upgrade", [plan_id]:
            return UpgradePlan(plan_id)
        case "downgrade", [plan_id]:
            return ScheduleDowngrade(plan_id)
        case "cancel", []:
            return CancelSubscription("term_end")
        case "cancel", ["now"]:
            return CancelSubscription("now")
        case "alerts", ["catalogue"]:
            return ChangeAlerts(None)
        case "alerts", alerts:
            return ChangeAlerts(tuple(alerts))
        case "resume", []:
            return ResumeSubscription()
        case "catalogue", [edition]:
            history.catalogue = odd_catalogue(history.catalogue.upgrade_policy, edition)
            return RecordDue()
        case "record", []:
            return RecordDue()
        case "adopt", [plan_id]:
            return AdoptTerms(plan_id)
        case "adjust", [credits, run_id]:
            return AdjustCredits(int(credits.replace(",", "")), run_id, "a wrong price")
        case "reverse", [generation_id]:
            return history.reversal_of(generation_id, "current_cycle")
        case "reverse", [generation_id, "original_cycle"]:
            return history.reversal_of(generation_id, "original_cycle")
        case _:
            raise ValueError(f"not a command: {text}")


def _charge(word: str, what: list[str], generation_id: str) -> ChargeGeneration:
    model, *given = what
    if word == "charge":
        asset_type = given[0] if given else "music"
        return ChargeGeneration(generation_id, asset_type, _characters(model))
    pairs = dict(setting.split("=") for setting in given)
    return ChargeGeneration(generation_id, model, msgspec.convert(pairs, Settings, strict=False))


def _hold(what: list[str], generation_id: str) -> HoldCredits:
    seconds = int(what.pop().removesuffix("s")) if what[-1].endswith("s") else HOLD_SECONDS
    characters, *given = what
    return HoldCredits(generation_id, given[0] if given else "music", _characters(characters), seconds)


def _characters(text: str) -> Settings:
    return Settings(characters=int(text.replace(",", "")))


def _written(at: datetime | None) -> str:
    if at is None:
        return "never"
    text = at.replace(tzinfo=None).isoformat(" ", "minutes" if at.second == at.microsecond == 0 else "auto")
    return text.removesuffix(" 00:00")


def _scheduled(state: Subscription) -> str:
    change = state.scheduled_change
    if change is None:
        return "nothing"
    to = f" {change.plan.plan_id}" if change.plan else ""
    return f"{change.kind}{to} at {_written(change.effective_at)}"
