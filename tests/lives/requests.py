"""Random requests in the time of a test clock, put to the service and to the model, which must agree after each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import httpx

from tests.lives.model import MODELS, PLANS, Generation, Model

MICROSECOND = timedelta(microseconds=1)
FIGURES = ("balance_credits", "granted_credits", "used_credits", "reversed_credits", "carried_credits", "held_credits")
_MEMBERS = (None, None, None, "ada", "bob")
_STARTS = (
    datetime(2026, 1, 31, 10, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 6, 15, 12, tzinfo=UTC),
)


class Divergence(AssertionError):
    """The service and the model do not agree."""


@dataclass
class Life:
    """One subscription on a clock of its own, and its model."""

    http: httpx.Client
    random: Random
    policy: str

    def __post_init__(self) -> None:
        plan_id, now = self.random.choice(sorted(PLANS)), self.random.choice(_STARTS)
        self.model = Model(plan_id, self.policy, now)
        self.clock = self._post("/v1/test-clocks", now=now.isoformat()).json()["test_clock_id"]
        body = {
            "subscription_id": str(UUID(bytes=self.random.randbytes(16))),
            "account_id": "account-1",
            "plan_id": plan_id,
            "test_clock_id": self.clock,
        }
        self.path = f"/v1/subscriptions/{self._post('/v1/subscriptions', **body).json()['subscription_id']}"
        self.told: list[str] = [f"{now.isoformat()} {plan_id} by {self.policy}"]
        self._compare()

    def live(self, steps: int) -> None:
        """Put so many requests. Raises Divergence with all of them."""
        try:
            for _ in range(steps):
                self._step()
            self._compare_history()
        except AssertionError as error:
            raise Divergence("\n".join([*self.told, str(error)])) from error

    def _step(self) -> None:
        weighted: list[tuple[int, Callable[[], None]]] = [
            (6, self._wait),
            (5, self._charge),
            (6, self._hold),
            (5, self._capture),
            (3, self._release),
            (2, self._upgrade),
            (1, self._downgrade),
            (1, self._cancel),
            (1, self._resume),
            (1, self._suspend),
            (2, self._give_back),
        ]
        (do,) = self.random.choices([each for _, each in weighted], [weight for weight, _ in weighted])
        do()
        self._compare()

    def _wait(self) -> None:
        known = [at for at in self.model.boundaries() if at > self.model.now] or [self.model.now + timedelta(days=1)]
        to = self.random.choice(
            [
                *(known[0] + shift for shift in (-MICROSECOND, timedelta(0), MICROSECOND)),
                known[-1],
                self.model.now + timedelta(seconds=self.random.choice((1, 900, 86_400))),
                self.model.now + timedelta(days=self.random.choice((7, 45, 400))),
            ]
        )
        if to <= self.model.now:
            return
        self._tell(f"advance to {to.isoformat()}")
        self.model.advance(to)
        self._post(f"/v1/test-clocks/{self.clock}/advance", to=to.isoformat())

    def _charge(self) -> None:
        id, body = self._payment()
        self._both("charges", body, self.model.charge(id, body["model"], body["settings"], body.get("member")))

    def _hold(self) -> None:
        id, body = self._payment()
        seconds = self.random.choice((1, 60, 900, 900, 604_800))
        boundary = self.model.cycle_ends_at - self.model.now
        if not self.model.has_ended and boundary < timedelta(days=7) and boundary.seconds and not boundary.microseconds:
            seconds = int(boundary.total_seconds())
        known = self.model.generations.get(id)
        if known is not None and known.expires_in_seconds is not None and self.random.random() < 0.5:
            seconds = known.expires_in_seconds
        if seconds != 900:
            body["expires_in_seconds"] = seconds
        outcome = self.model.hold(id, body["model"], body["settings"], body.get("member"), seconds)
        self._both("holds", body, outcome)

    def _capture(self) -> None:
        id, known = self._known(hold=True)
        settings = None if known is None or self.random.random() < 0.4 else self._settings(known.model)
        body = {} if settings is None else {"settings": settings}
        self._both(f"holds/{id}/capture", body, self.model.capture(id, settings))

    def _release(self) -> None:
        id, _ = self._known(hold=True)
        self._both(f"holds/{id}/release", {}, self.model.release(id))

    def _upgrade(self) -> None:
        plan_id = self.random.choice(sorted(PLANS))
        self._both("upgrade", {"plan_id": plan_id}, self.model.upgrade(plan_id))

    def _downgrade(self) -> None:
        plan_id = self.random.choice(sorted(PLANS))
        self._both("downgrade", {"plan_id": plan_id}, self.model.downgrade(plan_id))

    def _cancel(self) -> None:
        when = self.random.choice(("term_end", "term_end", "term_end", "now"))
        self._both("cancel", {"when": when}, self.model.cancel(when))

    def _resume(self) -> None:
        self._both("resume", {}, self.model.resume())

    def _suspend(self) -> None:
        is_suspended = self.random.random() < 0.5
        outcome = self.model.suspend(is_suspended=is_suspended)
        self._both("suspend" if is_suspended else "reinstate", {"reason": "a test"}, outcome)

    def _give_back(self) -> None:
        charged = [(id, each) for id, each in self.model.generations.items() if each.status in {"charged", "captured"}]
        if not charged:
            return
        id, known = self.random.choice(charged)
        whole = known.credits if known.captured is None else known.captured[1]
        part = self.random.choice((None, 1, whole))
        credit_to = self.random.choice(("current_cycle", "original_cycle"))
        about = {"subscription_id": self.path.rpartition("/")[2], "generation_id": id}
        opened = self.http.post("/v1/disputes", json={**about, "reason": "other", "note": "?"})
        assert opened.status_code in (201, 409), opened.text
        if opened.status_code == 409:  # one is open, of a resolution that was refused
            assert opened.json()["code"] == "dispute_open"
            return
        body: dict[str, Any] = {"outcome": "upheld", "note": "!", "credit_to": credit_to}
        body |= {} if part is None else {"credits": part}
        outcome = self.model.give_back(id, part or whole, credit_to)
        self._both(f"/v1/disputes/{opened.json()['dispute_id']}/resolve", body, outcome)

    def _payment(self) -> tuple[str, dict[str, Any]]:
        """Make a request under a new id, or sometimes under one that was taken, and then often the same one."""
        generations = self.model.generations
        id, model, member = f"g{len(generations)}", self.random.choice(sorted(MODELS)), self.random.choice(_MEMBERS)
        settings = self._settings(model)
        if generations and self.random.random() < 0.2:
            id = self.random.choice(sorted(generations))
            if self.random.random() < 0.6:
                known = generations[id]
                model, settings, member = known.model, known.settings, known.member
        body = {"generation_id": id, "model": model, "settings": settings}
        return id, body if member is None else {**body, "member": member}

    def _settings(self, model: str) -> dict[str, int]:
        match model:
            case "example-video-1":
                return {"duration_seconds": self.random.choice((1, 12, 60, 800, 3_600)), "count": 1}
            case "example-voice-1":
                return {"characters": self.random.choice((1, 999, 50_000, 250_000))}
            case _:
                return {"count": self.random.choice((1, 1, 2, 40, 266, 1_000))}

    def _known(self, *, hold: bool) -> tuple[str, Generation | None]:
        generations = self.model.generations
        held = [id for id, each in generations.items() if each.is_hold is hold]
        if held and self.random.random() < 0.95:
            still_open = [id for id, _ in self.model.open_holds]
            id = self.random.choice(still_open if still_open and self.random.random() < 0.7 else held)
            return id, generations[id]
        id = self.random.choice([*sorted(generations), "nobody"])
        return id, generations.get(id)

    def _both(self, resource: str, body: dict[str, Any], outcome: str | int) -> None:
        self._tell(f"{resource} {body} -> {outcome}")
        path = resource if resource.startswith("/") else f"{self.path}/{resource}"
        answer = self.http.post(path, json=body)
        told = answer.json().get("code") if answer.status_code >= 400 else answer.status_code
        assert told == outcome, f"the service says {answer.status_code} {answer.text}"

    def _post(self, path: str, **body: Any) -> httpx.Response:
        answer = self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer

    def _tell(self, what: str) -> None:
        self.told.append(f"{self.model.now.isoformat()} {what}")

    def _compare(self) -> None:
        """Compare the balance, the cycle and the status with those of the model."""
        model, shown = self.model, self.http.get(f"{self.path}/balance").json()
        figures = (model.balance, model.granted, model.used, model.given_back, model.carried, model.held)
        expected: dict[str, Any] = dict(zip(FIGURES, figures, strict=True))
        expected |= {"available_credits": model.balance - model.held, "plan_id": model.plan_id, "status": model.status}
        expected |= {"credits_renew_at": model.renews_at, "cycle": model.cycle, "version": len(model.events)}
        renews_at = shown["credits_renew_at"]
        shown |= {"credits_renew_at": renews_at and datetime.fromisoformat(renews_at)}
        shown |= {"cycle": shown["cycle"]["number"]}
        _same("balance", {name: shown[name] for name in expected}, expected)

    def _compare_history(self) -> None:
        """Compare the events and the holds with those of the model; replayed as it was, nothing differs."""
        _same("events", [*self._types()], self.model.events)
        holds = self.http.get(f"{self.path}/holds", params={"limit": 1_000}).json()["data"]
        shown = [(each["generation_id"], each["status"], each["cycle_number"]) for each in holds]
        expected = [(id, each.status, each.cycle) for id, each in self.model.generations.items() if each.is_hold]
        _same("holds", sorted(shown), sorted(expected))
        _same("differences", self._post(f"{self.path}/what-if").json()["differences"], [])

    def _types(self) -> Iterator[str]:
        parameters: dict[str, Any] = {"limit": 1_000}
        while True:
            page = self.http.get(f"{self.path}/events", params=parameters).json()
            yield from (each["type"] for each in page["data"])
            if page["next_cursor"] is None:
                return
            parameters["cursor"] = page["next_cursor"]


def _same(what: str, shown: object, expected: object) -> None:
    assert shown == expected, f"{what}: the service shows {shown}, the model {expected}"
