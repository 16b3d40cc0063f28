"""A model of a subscription, written from the contract alone, to compare the core with.

Where the service keeps counters and moves them, the model keeps facts and computes every answer anew (`model_life.py`).
It shares with the service only the words of its commands, and the catalogue's plans and quotes, which have tests of
their own.

    ledger = ModelLedger(catalogue)
    ledger.apply(subscription_id, StartSubscription("account", "max-pro-240000-yearly"), at)   -> Outcome("done")
    ledger.balance(subscription_id, at)                                                        -> Balance
    ledger.renewal(subscription_id, at)                                                        -> Renewal
"""

from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import NamedTuple, assert_never

from msgspec.structs import replace

from services.catalogue import Catalogue, InvalidSettings, Plan, Quote, UnknownModel
from services.subscription.commands import (
    AdjustCredits,
    AdoptTerms,
    CancelSubscription,
    CaptureHold,
    ChangeAlerts,
    ChargeGeneration,
    Command,
    HoldCredits,
    RecordDue,
    ReinstateSubscription,
    ReleaseHold,
    ResumeSubscription,
    ReverseCharge,
    ScheduleDowngrade,
    StartSubscription,
    SuspendSubscription,
    UpgradePlan,
)
from tests.unit.subscription.model_life import (
    Alerted,
    Balance,
    Charge,
    EndedAtOnce,
    Era,
    Fact,
    Life,
    Reversal,
    Scheduled,
    Taken,
)
from tests.unit.subscription.plain_months import NEVER

UPCOMING = 12


class Outcome(NamedTuple):
    """`done`, `unchanged`, `replayed`, or a refusal's code with the fields that the contract names for it."""

    code: str
    details: Mapping[str, object] = {}


class Renewal(NamedTuple):
    """The boundaries that time will bring: `upcoming` holds `(at, cycle_reset | term_renewal | ends, credits)`."""

    credits_renew_at: datetime | None
    subscription_renews_at: datetime | None
    credits_at_renewal: int
    lapsing_credits: int
    upcoming: tuple[tuple[datetime, str, int], ...]


UNMODELLED = HoldCredits | CaptureHold | ReleaseHold | SuspendSubscription | ReinstateSubscription


class ModelSubscription:
    """One subscription, from before its start. Commands come in the order of their instants."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        """Today's: another one may take its place between two commands."""
        self._life = Life()
        self._started: StartSubscription | None = None
        self._alerts: tuple[str, ...] | None = None
        self.charges: dict[str, Charge] = {}
        self.reversed: set[str] = set()
        """Generation ids of the reversed charges."""
        self._settled: set[str] = set()

    def apply(self, command: Command, at: datetime, expected_version: int | None = None) -> Outcome:
        """Apply a command at an instant. The caller must not reverse a charge twice."""
        if isinstance(command, ChargeGeneration) and (before := self.charges.get(command.generation_id)):
            return Outcome("replayed" if _is_same(command, before) else "generation_id_conflict")
        if self._started is None:
            return (
                self._start(command, at) if isinstance(command, StartSubscription) else Outcome("unknown_subscription")
            )
        now = self.balance(at)
        if expected_version not in (None, now.version):
            return Outcome("version_mismatch", {"version": now.version})
        if isinstance(command, StartSubscription):
            return Outcome("unchanged" if command == self._started else "subscription_exists")
        if isinstance(command, RecordDue):
            return Outcome("unchanged")
        assert not isinstance(command, UNMODELLED), "this model knows no holds and no suspension"
        if now.status == "ended":
            return Outcome("subscription_ended")
        return self._apply_to_unended(command, at, now)

    def balance(self, at: datetime) -> Balance:
        """Return the balance at an instant, also a past one, but none before the start."""
        return self._life.balance_at(at)

    def renewal(self, at: datetime) -> Renewal:
        """Return what is to come without further commands; for an instant not before the last command."""
        now = look = self.balance(at)
        upcoming: list[tuple[datetime, str, int]] = []
        while len(upcoming) < UPCOMING and look.status != "ended" and look.cycle.ends_at != NEVER:
            ends_at = look.cycle.ends_at
            then = self.balance(ends_at)
            renews = "term_renewal" if then.term.number > look.term.number else "cycle_reset"
            upcoming.append((ends_at, "ends" if then.status == "ended" else renews, then.granted_credits))
            look = then
        return Renewal(
            credits_renew_at=now.credits_renew_at,
            subscription_renews_at=now.term.ends_at if now.status == "active" else None,
            credits_at_renewal=upcoming[0][2] if upcoming else 0,
            lapsing_credits=now.balance_credits,
            upcoming=tuple(upcoming),
        )

    def _apply_to_unended(
        self,
        command: ChargeGeneration
        | UpgradePlan
        | ScheduleDowngrade
        | AdoptTerms
        | CancelSubscription
        | ResumeSubscription
        | ChangeAlerts
        | ReverseCharge
        | AdjustCredits,
        at: datetime,
        now: Balance,
    ) -> Outcome:
        match command:
            case ChargeGeneration():
                return self._charge(command, at, now)
            case UpgradePlan():
                return self._upgrade(command, at)
            case ScheduleDowngrade():
                return self._downgrade(command, at, now)
            case AdoptTerms():
                return self._adopt(command, at, now)
            case CancelSubscription():
                if command.when == "now":
                    return self._add(EndedAtOnce(at))
                return Outcome("unchanged") if now.status == "cancelling" else self._add(Scheduled(at, "cancel"))
            case ResumeSubscription():
                is_scheduled = now.scheduled_change is not None and now.scheduled_change.plan_id != now.plan_id
                return self._add(Scheduled(at, "nothing")) if is_scheduled else Outcome("nothing_scheduled")
            case ChangeAlerts():
                if command.alerts == self._alerts:
                    return Outcome("unchanged")
                self._alerts = command.alerts
                return self._add(Alerted(at))
            case ReverseCharge():
                return self._reverse(command, at, now)
            case AdjustCredits():
                return self._adjust(command, at, now)
            case _:
                assert_never(command)

    def _add(self, fact: Fact) -> Outcome:
        self._life.add(fact)
        return Outcome("done")

    def _start(self, command: StartSubscription, at: datetime) -> Outcome:
        plan = self.catalogue.plan(command.plan_id)
        if plan is None:
            return Outcome("unknown_plan", {"plan_id": command.plan_id})
        self._started = command
        self._life.begin(Era(at, plan, policy=None))
        return Outcome("done")

    def _charge(self, command: ChargeGeneration, at: datetime, now: Balance) -> Outcome:
        quote = self.catalogue.quote(command.model, command.settings, at)
        if isinstance(quote, UnknownModel):
            return Outcome("unknown_model", {"model": command.model})
        if isinstance(quote, InvalidSettings):
            return Outcome("invalid_settings", {"key": quote.key, "reason": quote.reason})
        plan = self._life.plan(at)
        options = {"upgrade_options": self._options(plan, quote, at)}
        if quote.asset_type not in plan.asset_types:
            return Outcome("not_in_plan", {"asset_type": quote.asset_type, "plan_id": plan.plan_id, **options})
        left = now.balance_credits - quote.credits
        if left < 0:
            left = now.balance_credits
            seen = {"balance_credits": left, "available_credits": left, "credits_renew_at": now.credits_renew_at}
            return Outcome("insufficient_credits", {"required_credits": quote.credits, **seen, **options})
        id, number = command.generation_id, now.cycle.number
        self.charges[id] = Charge(at, id, command.model, quote.settings, quote.credits, left, number)
        return self._add(self.charges[id])

    def _upgrade(self, command: UpgradePlan, at: datetime) -> Outcome:
        plan = self.catalogue.plan(command.plan_id)
        if plan is None:
            return Outcome("unknown_plan", {"plan_id": command.plan_id})
        if plan.tier <= self._tier(self._life.plan(at)):
            return Outcome("not_an_upgrade", {"plan_id": command.plan_id})
        self._life.begin(self._era(at, plan))
        return Outcome("done")

    def _downgrade(self, command: ScheduleDowngrade, at: datetime, now: Balance) -> Outcome:
        plan = self.catalogue.plan(command.plan_id)
        if plan is None:
            return Outcome("unknown_plan", {"plan_id": command.plan_id})
        if plan.tier > self._tier(self._life.plan(at)) or plan.plan_id == now.plan_id:
            return Outcome("not_a_downgrade", {"plan_id": command.plan_id})
        if self._life.scheduled_plan(at) == plan:
            return Outcome("unchanged")
        return self._add(Scheduled(at, "downgrade", plan))

    def _adopt(self, command: AdoptTerms, at: datetime, now: Balance) -> Outcome:
        plan, change = self.catalogue.plan(command.plan_id), now.scheduled_change
        if plan is None:
            return Outcome("unknown_plan", {"plan_id": command.plan_id})
        if plan.plan_id != now.plan_id or (change is not None and change.plan_id != now.plan_id):
            return Outcome("unchanged")
        agreed = self._life.scheduled_plan(at) if change is not None else self._life.plan(at)
        return Outcome("unchanged") if _is_agreed(agreed, plan) else self._add(Scheduled(at, "downgrade", plan))

    def _reverse(self, command: ReverseCharge, at: datetime, now: Balance) -> Outcome:
        charge = self.charges[command.generation_id]
        if command.credit_to == "original_cycle" and charge.cycle_number != now.cycle.number:
            return Outcome("cycle_closed")
        self.reversed.add(charge.generation_id)
        return self._add(Reversal(at, charge.credits, self._life.era_of(charge)))

    def _adjust(self, command: AdjustCredits, at: datetime, now: Balance) -> Outcome:
        if command.run_id in self._settled:
            return Outcome("unchanged")
        self._settled.add(command.run_id)
        if command.credits > 0:
            return self._add(Reversal(at, command.credits, len(self._life.eras) - 1))
        return self._add(Taken(at, min(-command.credits, now.balance_credits)))

    def _tier(self, plan: Plan) -> int:
        """Return the tier that today's catalogue gives a plan; its own where the catalogue no longer has it."""
        return (self.catalogue.plan(plan.plan_id) or plan).tier

    def _era(self, at: datetime, plan: Plan) -> Era:
        return Era(at, plan, plan.upgrade_policy or self.catalogue.upgrade_policy)

    def _options(self, plan: Plan, quote: Quote, at: datetime) -> tuple[str, ...]:
        """Name the plans of higher tiers that include the asset type, and on which the charge could then be paid."""
        higher = [
            each
            for each in self.catalogue.plans
            if each.tier > self._tier(plan)
            and quote.asset_type in each.asset_types
            and self._life.balance_with(self._era(at, each)) >= quote.credits
        ]
        return tuple(each.plan_id for each in sorted(higher, key=lambda each: each.tier))


class ModelLedger:
    """Many subscriptions, each by its id."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.subscriptions: dict[Hashable, ModelSubscription] = {}

    def apply(self, id: Hashable, command: Command, at: datetime, expected_version: int | None = None) -> Outcome:
        """Apply a command to a subscription."""
        subscription = self.subscriptions.setdefault(id, ModelSubscription(self._catalogue))
        return subscription.apply(command, at, expected_version)

    def balance(self, id: Hashable, at: datetime) -> Balance:
        """Return the balance of a subscription at an instant. Raises KeyError where it had no command."""
        return self.subscriptions[id].balance(at)

    def renewal(self, id: Hashable, at: datetime) -> Renewal:
        """Return what is to come for a subscription. Raises KeyError where it had no command."""
        return self.subscriptions[id].renewal(at)


def _is_agreed(agreed: Plan | None, plan: Plan) -> bool:
    """Whether a plan has the terms that were agreed; how upgrades to it go, and its alerts, are no part of them."""
    return agreed is not None and replace(agreed, upgrade_policy=None, alerts=None) == replace(
        plan, upgrade_policy=None, alerts=None
    )


def _is_same(command: ChargeGeneration, charge: Charge) -> bool:
    """Whether a request is the one that was charged; a missing count is the default that was filled in."""
    settings, charged = command.settings, charge.settings
    count = 1 if settings.count is None and charged.count is not None else settings.count
    requested = (command.model, settings.duration_seconds, count, settings.resolution, settings.characters)
    return requested == (charge.model, charged.duration_seconds, charged.count, charged.resolution, charged.characters)
