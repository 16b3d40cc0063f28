"""Holds plans and rate cards: looks up plans, prices generations, lists higher plans."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Final

from services.catalogue.alerts import DEFAULT_ALERTS, Threshold, thresholds_of
from services.catalogue.model import (
    AssetType,
    InvalidSettings,
    Plan,
    Quote,
    Settings,
    UnknownModel,
)
from services.catalogue.policies import DEFAULT_POLICY, UpgradePolicy
from services.catalogue.pricing import price
from services.catalogue.rate_card import PricedModel, RateCard

QUOTE_CACHE_SIZE = 4_096


class Catalogue:
    """The plans on offer and the prices of generations. It never changes.

    Expects what `load_catalogue` has checked: plan ids, card versions and `effective_from` each unique.
    """

    __slots__ = (
        "_alerts",
        "_alerts_by_plan",
        "_by_tier",
        "_effective",
        "_models",
        "_plans_by_id",
        "_quote",
        "plans",
        "rate_cards",
        "upgrade_policy",
    )

    def __init__(
        self,
        plans: Iterable[Plan],
        rate_cards: Iterable[RateCard],
        upgrade_policy: UpgradePolicy = DEFAULT_POLICY,
        alerts: Iterable[str] = DEFAULT_ALERTS,
    ) -> None:
        self.plans: Final = tuple(plans)
        """Every plan, in catalogue order."""
        self._plans_by_id = {plan.plan_id: plan for plan in self.plans}
        self._by_tier = sorted(self.plans, key=attrgetter("tier"))
        self.rate_cards: Final = tuple(sorted(rate_cards, key=attrgetter("effective_from")))
        """Every rate card, past, in force and to come, by `effective_from`."""
        self._effective = [card.effective_from for card in self.rate_cards]
        self._models: list[dict[str, PricedModel]] = [
            {model.model: model for model in card.models} for card in self.rate_cards
        ]
        self.upgrade_policy: Final[UpgradePolicy] = upgrade_policy
        """The policy of upgrades to plans that name none of their own."""
        self._alerts = thresholds_of(tuple(alerts))
        self._alerts_by_plan = {
            plan.plan_id: thresholds_of(plan.alerts) for plan in self.plans if plan.alerts is not None
        }
        # The same few settings come again and again, and exact decimals are slow; durations seldom repeat.
        self._quote = lru_cache(QUOTE_CACHE_SIZE)(self._price)

    def plan(self, plan_id: str) -> Plan | None:
        """Return the plan of that id, if there is one."""
        return self._plans_by_id.get(plan_id)

    def policy_for(self, plan: Plan) -> UpgradePolicy:
        """Return the policy of upgrades to this plan: its own, or else the catalogue's."""
        return plan.upgrade_policy or self.upgrade_policy

    def alerts_for(self, plan_id: str) -> tuple[Threshold, ...]:
        """Return the thresholds of alerts for a plan, the highest first: its own, or else the catalogue's."""
        return self._alerts_by_plan.get(plan_id, self._alerts)

    def tier_of(self, plan_id: str, recorded_tier: int) -> int:
        """Return the tier of that plan; the recorded one where the catalogue no longer has the plan."""
        plan = self._plans_by_id.get(plan_id)
        return recorded_tier if plan is None else plan.tier

    def plans_above(self, tier: int, asset_type: AssetType) -> list[Plan]:
        """List the plans of a higher tier that include an asset type, lowest first."""
        return [plan for plan in self._by_tier if plan.tier > tier and asset_type in plan.asset_types]

    def card_at(self, instant: datetime) -> RateCard | None:
        """Return the rate card in force at an instant; None before the first one's `effective_from`."""
        position = self._position_at(instant)
        return None if position is None else self.rate_cards[position]

    def entry(self, model: str, at: datetime) -> PricedModel | None:
        """Return what the card in force at an instant says of a model; None where it does not price it."""
        position = self._position_at(at)
        return None if position is None else self._models[position].get(model)

    def quote_entry(self, entry: PricedModel, settings: Settings, rate_card: str) -> Quote | InvalidSettings:
        """Price a generation by what the card of that version says of its model."""
        return price(entry, settings, rate_card)

    def quote(self, model: str, settings: Settings, at: datetime) -> Quote | UnknownModel | InvalidSettings:
        """Price a generation with these settings at that instant. Charges nothing."""
        quote = self._quote if settings.duration_seconds is None else self._price
        return quote(self._position_at(at), model, settings)

    def _price(self, position: int | None, model: str, settings: Settings) -> Quote | UnknownModel | InvalidSettings:
        priced = None if position is None else self._models[position].get(model)
        if position is None or priced is None:
            return UnknownModel(model)
        return price(priced, settings, self.rate_cards[position].version)

    def _position_at(self, instant: datetime) -> int | None:
        following = bisect_right(self._effective, instant)
        return following - 1 if following else None
