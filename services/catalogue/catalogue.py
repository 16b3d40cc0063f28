"""Holds plans and rate cards: looks up plans, prices generations, lists upgrade options."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from operator import attrgetter

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

    __slots__ = ("_by_tier", "_cards", "_effective", "_models", "_plans", "_plans_by_id", "_quote", "_upgrade_policy")

    def __init__(
        self,
        plans: Iterable[Plan],
        rate_cards: Iterable[RateCard],
        upgrade_policy: UpgradePolicy = DEFAULT_POLICY,
    ) -> None:
        self._plans = tuple(plans)
        self._plans_by_id = {plan.plan_id: plan for plan in self._plans}
        self._by_tier = sorted(self._plans, key=attrgetter("tier"))
        self._cards = tuple(sorted(rate_cards, key=attrgetter("effective_from")))
        self._effective = [card.effective_from for card in self._cards]
        self._models: list[dict[str, PricedModel]] = [
            {model.model: model for model in card.models} for card in self._cards
        ]
        self._upgrade_policy: UpgradePolicy = upgrade_policy
        # The same few settings come again and again, and exact decimals are slow; durations seldom repeat.
        self._quote = lru_cache(QUOTE_CACHE_SIZE)(self._price)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every plan, in catalogue order."""
        return self._plans

    @property
    def rate_cards(self) -> tuple[RateCard, ...]:
        """Every rate card, past, in force and to come, by `effective_from`."""
        return self._cards

    @property
    def upgrade_policy(self) -> UpgradePolicy:
        """The policy of upgrades to plans that name none of their own."""
        return self._upgrade_policy

    def plan(self, plan_id: str) -> Plan | None:
        """Return the plan of that id, if there is one."""
        return self._plans_by_id.get(plan_id)

    def policy_for(self, plan: Plan) -> UpgradePolicy:
        """Return the policy of upgrades to this plan: its own, or else the catalogue's."""
        return plan.upgrade_policy or self._upgrade_policy

    def upgrade_options(self, *, above_tier: int, asset_type: AssetType | None = None) -> tuple[str, ...]:
        """List the ids of plans of a higher tier, lowest first; with an asset type, of those that include it."""
        return tuple(
            plan.plan_id
            for plan in self._by_tier
            if plan.tier > above_tier and (asset_type is None or asset_type in plan.asset_types)
        )

    def card_at(self, instant: datetime) -> RateCard | None:
        """Return the rate card in force at an instant; None before the first one's `effective_from`."""
        position = self._position_at(instant)
        return None if position is None else self._cards[position]

    def quote(self, model: str, settings: Settings, at: datetime) -> Quote | UnknownModel | InvalidSettings:
        """Price a generation with these settings at that instant. Charges nothing."""
        quote = self._quote if settings.duration_seconds is None else self._price
        return quote(self._position_at(at), model, settings)

    def _price(self, position: int | None, model: str, settings: Settings) -> Quote | UnknownModel | InvalidSettings:
        priced = None if position is None else self._models[position].get(model)
        if position is None or priced is None:
            return UnknownModel(model)
        return price(priced, settings, self._cards[position].version)

    def _position_at(self, instant: datetime) -> int | None:
        following = bisect_right(self._effective, instant)
        return following - 1 if following else None
