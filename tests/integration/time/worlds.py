"""Adapts two systems to the same state machine: the ledger in process, and the API with a test clock.

Both answer in the types of the model (`tests/unit/subscription/model.py`), so that they compare without conversion.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import httpx
import msgspec
from psycopg import Connection

from projections.renewal.queries import RenewalQueries
from projections.renewal.view import Renewal as RenewalView
from projections.renewal.view import renewal_view
from services.ledger.as_of import AsOf
from services.ledger.ledger import Ledger
from services.ledger.mapper import read_event
from services.ledger.recorder import Recorder
from services.ledger.submission import Charged, Done, Refused
from services.renewals.worker import RenewalWorker
from services.subscription.boundaries import as_read
from services.subscription.commands import (
    CancelSubscription,
    ChangeAlerts,
    ChargeGeneration,
    Command,
    ResumeSubscription,
    ScheduleDowngrade,
    StartSubscription,
    UpgradePlan,
)
from services.subscription.events import GenerationCharged
from services.subscription.state import Subscription
from tests.acceptance.time_travel import TimeMachine, instant
from tests.conftest import SCHEMA, SettableClock
from tests.integration.time.fleet import BY
from tests.unit.subscription.model import Renewal
from tests.unit.subscription.model_life import Balance, Change, Span
from tests.unit.subscription.plain_months import NEVER
from tests.unit.subscription.simulation import balance_of

Result = tuple[set[str], Mapping[str, Any]]
"""The outcomes that an answer may stand for, and the members of a refusal."""

ChargeFacts = tuple[datetime, str, int, int, int]
"""A charge: its instant, generation, credits, the balance after it and its cycle's number."""


class World(Protocol):
    """The operations of the state machine."""

    def begin(self, now: datetime) -> None:
        """Begin at an instant, without subscriptions."""

    def move(self, to: datetime) -> None:
        """Move the clock."""

    def record(self) -> None:
        """Record everything that is due."""

    def execute(self, id: UUID, command: Command) -> Result:
        """Execute a command."""

    def balance(self, id: UUID) -> Balance:
        """Return the balance now; `version` is the recorded one."""

    def renewal(self, id: UUID) -> Renewal:
        """Return the boundaries to come."""

    def balance_at(self, id: UUID, at: datetime) -> Balance:
        """Return the balance at a past instant."""

    def charges(self, id: UUID) -> list[ChargeFacts]:
        """List every charge, oldest first."""


class LedgerWorld:
    """The ledger in process, with the test's clock and a renewal worker."""

    def __init__(
        self, ledger: Ledger, worker: RenewalWorker, connection: Connection[Any], clock: SettableClock
    ) -> None:
        self._ledger = ledger
        self._worker = worker
        self._connection = connection
        self._clock = clock
        self._subscriptions = RenewalQueries(SCHEMA)
        self._as_of = AsOf(SCHEMA, clock)

    def begin(self, now: datetime) -> None:
        self._clock.now = now

    def move(self, to: datetime) -> None:
        self._clock.now = to

    def record(self) -> None:
        assert self._worker.catch_up().failures == 0

    def execute(self, id: UUID, command: Command) -> Result:
        match self._ledger.execute(id, command, BY):
            case Charged(is_replay=is_replay):
                return {"replayed" if is_replay else "done"}, {}
            case Done(event_count=events):
                return {"done" if events else "unchanged"}, {}
            case Refused(refusal):
                return {refusal.code}, msgspec.structs.asdict(refusal)
            case answer:
                raise AssertionError(answer)

    def balance(self, id: UUID) -> Balance:
        return balance_of(as_read(self._recorded(id), self._clock.now))

    def renewal(self, id: UUID) -> Renewal:
        return _renewal(renewal_view(id, as_read(self._recorded(id), self._clock.now)))

    def balance_at(self, id: UUID, at: datetime) -> Balance:
        past = self._as_of.at_instant(self._connection, id, at)
        assert past is not None
        return balance_of(past.state)

    def charges(self, id: UUID) -> list[ChargeFacts]:
        facts = []
        for stored in Recorder(SCHEMA).events(self._connection, id):
            if isinstance(event := read_event(stored).event, GenerationCharged):
                at = stored.recorded_at
                facts.append((at, event.generation_id, event.credits, event.balance_after, event.cycle_number))
        return facts

    def _recorded(self, id: UUID) -> Subscription:
        stored = self._subscriptions.find(self._connection, id)
        assert stored is not None
        return stored.state


class HttpWorld:
    """The API, with a test clock of its own for each history."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._now = NEVER
        self._machine: TimeMachine | None = None

    def begin(self, now: datetime) -> None:
        self._now = now
        self._machine = TimeMachine.at(self._http, now.isoformat())

    def move(self, to: datetime) -> None:
        assert self._machine is not None
        self._now = to
        self._machine.advance(to)

    def record(self) -> None:
        self.move(self._now)

    def execute(self, id: UUID, command: Command) -> Result:
        assert self._machine is not None
        path = f"/v1/subscriptions/{id}"
        match command:
            case StartSubscription():
                on_clock = {"subscription_id": str(id), "test_clock_id": self._machine.test_clock_id}
                path, body = "/v1/subscriptions", {**_fields(command), **on_clock}
            case ChargeGeneration():
                path, body = f"{path}/charges", _fields(command)
            case UpgradePlan():
                path, body = f"{path}/upgrade", _fields(command)
            case ScheduleDowngrade():
                path, body = f"{path}/downgrade", _fields(command)
            case CancelSubscription():
                path, body = f"{path}/cancel", _fields(command)
            case ChangeAlerts():
                path, body = f"{path}/alerts", {"alerts": command.alerts}
            case ResumeSubscription():
                path, body = f"{path}/resume", {}
            case _:
                raise ValueError(f"no route for: {command}")
        answer = self._http.post(path, json=body)
        if answer.status_code == 201:
            return {"done"}, {}
        if answer.status_code == 200:
            return {"replayed"} if path.endswith("charges") else {"done", "unchanged"}, {}
        problem = answer.json()
        return {problem["code"]}, problem

    def balance(self, id: UUID) -> Balance:
        return _balance(self._read(id, "/balance"), self._read(id))

    def renewal(self, id: UUID) -> Renewal:
        return _renewal(msgspec.convert(self._read(id, "/renewal"), RenewalView))

    def balance_at(self, id: UUID, at: datetime) -> Balance:
        past = self._read(id, "/as-of", at=at.isoformat())
        return _balance(past["balance"], past["subscription"])

    def charges(self, id: UUID) -> list[ChargeFacts]:
        newest_first = self._read(id, "/charges", limit=1000)["data"]
        return [
            (
                instant(charge["charged_at"]),
                charge["generation_id"],
                charge["credits"],
                charge["balance_after"],
                charge["cycle_number"],
            )
            for charge in reversed(newest_first)
        ]

    def _read(self, id: UUID, resource: str = "", **query: Any) -> Any:
        answer = self._http.get(f"/v1/subscriptions/{id}{resource}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


def _fields(command: Command) -> dict[str, Any]:
    """Return the body of a command's request: its fields that are not None."""
    built = msgspec.to_builtins(command)
    given = {name: value for name, value in built.items() if value is not None}
    if "settings" in given:
        given["settings"] = {name: value for name, value in given["settings"].items() if value is not None}
    return given


def _balance(balance: Any, subscription: Any) -> Balance:
    change = subscription["scheduled_change"]
    return Balance(
        plan_id=balance["plan_id"],
        status=balance["status"],
        balance_credits=balance["balance_credits"],
        granted_credits=balance["granted_credits"],
        used_credits=balance["used_credits"],
        reversed_credits=balance["reversed_credits"],
        carried_credits=balance["carried_credits"],
        anchor_at=instant(subscription["anchor_at"]),
        cycle=_span(balance["cycle"]),
        term=_span(subscription["term"]),
        scheduled_change=None
        if change is None
        else Change(change["kind"], change.get("plan_id"), instant(change["effective_at"])),
        credits_renew_at=None if balance["credits_renew_at"] is None else instant(balance["credits_renew_at"]),
        version=balance["version"],
    )


def _span(period: Any) -> Span:
    return Span(period["number"], instant(period["starts_at"]), instant(period["ends_at"]))


def _renewal(view: RenewalView) -> Renewal:
    return Renewal(
        credits_renew_at=view.credits_renew_at,
        subscription_renews_at=view.subscription_renews_at,
        credits_at_renewal=view.credits_at_renewal,
        lapsing_credits=view.lapsing_credits,
        upcoming=tuple((each.at, each.kind, each.credits) for each in view.upcoming),
    )
