"""What-if: reads what was recorded and refused, and replays it with a change. Writes nothing."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from psycopg import Connection

from projections.balance.project import project as balance_row
from projections.balance.view import Balance, balance_view
from services.catalogue import Catalogue, Settings
from services.ledger.as_of import AsOf, PastState
from services.ledger.mapper import read_event
from services.ledger.recorder import PAGE_EVENTS, Recorder
from services.ledger.records import RefusedCommand, RefusedOp
from services.postgres.sql import load_queries
from services.subscription import what_if as core
from services.subscription.boundaries import as_read
from services.subscription.commands import CaptureHold, ChargeGeneration, HoldCredits
from services.subscription.events import CreditsHeld, GenerationCharged
from services.subscription.outcomes import ChargeRefused, ChargeRepeated, ReplayOutcome
from services.subscription.recorded_commands import RecordedEvent, RecordedRefusal
from services.subscription.state import Subscription

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])

OUTCOMES = Literal["charged", "recorded", "refused", "repeated"]

Outcome = Annotated[
    dict[str, Any],
    Meta(
        description="`outcome` says which: `charged` and `recorded` come with the fields of the event; `refused` with"
        " `code`, `balance_credits` and, where credits are too few, `required_credits`; `repeated` is a request for"
        " what was charged before.",
        extra_json_schema={"properties": {"outcome": {"enum": get_args(OUTCOMES)}}},
    ),
]


class Difference(Struct, frozen=True):
    """What came, or would come, to another outcome; null where nobody asked, or nobody would have.

    `version` is that of the recorded event; of a refusal and of an inserted charge, the version that it came after.
    Charges and what became of them carry their `generation_id`.
    """

    version: int
    type: str
    actual: Outcome | None
    replayed: Outcome | None
    generation_id: str | UnsetType = UNSET


class WhatIfAnswer(Struct, frozen=True):
    """Both balances at the end, and everything that differs on the way there, in the order of the history.

    `position` is that of the last event recorded by then; the replay's `version` counts its own events.
    """

    actual: Balance
    replayed: Balance
    differences: list[Difference]


class UnknownNames(LookupError):
    """The changes name generations or models that are not known: pairs of a field and a name."""

    def __init__(self, names: Sequence[tuple[str, str]]) -> None:
        super().__init__(", ".join(f"{field} {name}" for field, name in names))
        self.names = names


class WhatIf:
    """Replays the subscriptions of one schema."""

    def __init__(self, as_of: AsOf, schema: str, catalogue: Catalogue) -> None:
        self._recorder = Recorder(schema)
        self._as_of = as_of
        self._queries = load_queries(__file__, "what_if.sql", schema=schema)
        self._catalogue = catalogue

    def replay(
        self,
        connection: Connection[Any],
        id: UUID,
        changes: core.Changes,
        until: datetime,
        on_step: Callable[[], None] = lambda: None,
    ) -> WhatIfAnswer | None:
        """Replay the history up to `until` with the changes; None where there is no such subscription.

        `on_step` is called again and again meanwhile, and may raise to end it. Raises NotYetStarted, StillToCome,
        UnknownNames.
        """
        end = self._as_of.at_instant(connection, id, until)
        if end is None:
            return None
        history = []
        for each in self._recorder.events_by_pages(connection, id, until=end.last_event.originator_version):
            on_step()
            history.append(RecordedEvent(each.originator_version, each.recorded_at, read_event(each).event))
        refusals = self._refusals(connection, end, on_step)
        if unknown := [*self._unknown_names(changes, history, refusals)]:
            raise UnknownNames(unknown)
        found = core.what_if(history, refusals, changes, until, self._catalogue, on_step)
        return WhatIfAnswer(
            actual=_balance(end, found.actual),
            replayed=_balance(end, found.replayed),
            differences=[shown(each) for each in found.differences],
        )

    def _unknown_names(
        self, changes: core.Changes, history: Sequence[RecordedEvent], refusals: Sequence[RecordedRefusal]
    ) -> Iterator[tuple[str, str]]:
        """Yield the names of no recorded generation, and of no model that was charged or is on any rate card."""
        if not (changes.without_generations or changes.reprice or changes.insert_charges):
            return
        tried = [each.event for each in history if isinstance(each.event, GenerationCharged | CreditsHeld)]
        generations = {each.generation_id for each in (*tried, *(each.command for each in refusals))}
        models = {each.model for each in (*tried, *refusals)}
        models.update(model.model for card in self._catalogue.rate_cards for model in card.models)
        for id in sorted(changes.without_generations - generations):
            yield "without_generations", id
        for model in changes.reprice:
            if model not in models:
                yield f"reprice.{model}", model
        for number, each in enumerate(changes.insert_charges):
            if each.command.model not in models:
                yield f"insert_charges.{number}.model", each.command.model

    def _refusals(
        self, connection: Connection[Any], end: PastState, on_step: Callable[[], None]
    ) -> list[RecordedRefusal]:
        arguments = {"id": end.last_event.originator_id, "until": end.at, "version": end.last_event.originator_version}
        refusals = []
        with connection.transaction(), connection.cursor("refusals") as cursor:
            cursor.itersize = PAGE_EVENTS  # thousands at once would keep payments waiting
            cursor.execute(self._queries["select_refusals"], arguments)
            for version, refused_at, op, generation_id, model, settings, *rest in cursor:
                on_step()
                command = refused_command(op, generation_id, model, settings)
                refusals.append(RecordedRefusal(version, refused_at, command, model, *rest))
        return refusals


def refused_command(op: RefusedOp, generation_id: str, model: str, settings: str) -> RefusedCommand:
    """Make the command that was refused. How long a hold would have held is not kept."""
    read = msgspec.json.decode(settings, type=Settings)
    match op:
        case "charge":
            return ChargeGeneration(generation_id, model, read)
        case "hold":
            return HoldCredits(generation_id, model, read)
        case "capture":
            return CaptureHold(generation_id, read)


def _balance(end: PastState, state: Subscription) -> Balance:
    row = balance_row(as_read(state, end.at), end.last_event.position or 0)
    return balance_view(end.last_event.originator_id, row, end.at)


def shown(found: core.ReplayDifference) -> Difference:
    """Make the public form of a difference."""
    generation_id = UNSET if found.generation_id is None else found.generation_id
    return Difference(
        version=found.version,
        type=found.type,
        actual=_outcome(found.actual, generation_id),
        replayed=_outcome(found.replayed, generation_id),
        generation_id=generation_id,
    )


def _outcome(outcome: ReplayOutcome | None, generation_id: str | UnsetType) -> dict[str, Any] | None:
    if outcome is None:
        return None
    named = {} if generation_id is UNSET else {"generation_id": generation_id}
    return {"outcome": _name(outcome), **named, **fields_of(outcome)}


def fields_of(outcome: ReplayOutcome) -> dict[str, msgspec.Raw]:
    """Return the fields of an outcome, as JSON; those of an event are its recorded ones."""
    return _FIELDS.decode(_ENCODER.encode(outcome))


def _name(outcome: ReplayOutcome) -> OUTCOMES:
    match outcome:
        case GenerationCharged():
            return "charged"
        case ChargeRefused():
            return "refused"
        case ChargeRepeated():
            return "repeated"
        case _:
            return "recorded"
