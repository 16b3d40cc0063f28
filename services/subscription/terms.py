"""Declares the part of a catalogue that the rules use: plans on offer, prices in force, upgrade policies."""

from datetime import datetime
from typing import Protocol

from services.catalogue.alerts import Threshold
from services.catalogue.model import (
    AssetType,
    InvalidSettings,
    Plan,
    Quote,
    Settings,
    UnknownModel,
)
from services.catalogue.policies import UpgradePolicy
from services.catalogue.rate_card import PricedModel


class Terms(Protocol):
    """A catalogue, or one as history recorded it. `services.catalogue.Catalogue` has the documentation."""

    def plan(self, plan_id: str) -> Plan | None:
        """Return the plan of that id, if there is one."""

    def policy_for(self, plan: Plan) -> UpgradePolicy:
        """Return the policy of upgrades to this plan."""

    def alerts_for(self, plan_id: str) -> tuple[Threshold, ...]:
        """Return the thresholds of alerts for a plan, the highest first."""

    def tier_of(self, plan_id: str, recorded_tier: int) -> int:
        """Return the tier of that plan; the recorded one where the catalogue no longer has the plan."""

    def plans_above(self, tier: int, asset_type: AssetType) -> list[Plan]:
        """List the plans of a higher tier that include an asset type, lowest first."""

    def entry(self, model: str, at: datetime) -> PricedModel | None:
        """Return what the card in force at that instant says of a model; None where it does not price it."""

    def quote_entry(self, entry: PricedModel, settings: Settings, rate_card: str) -> Quote | InvalidSettings:
        """Price a generation by what the card of that version says of its model."""

    def quote(self, model: str, settings: Settings, at: datetime) -> Quote | UnknownModel | InvalidSettings:
        """Price a generation with these settings at that instant."""
