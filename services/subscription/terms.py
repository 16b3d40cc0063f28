"""Declares the part of a catalogue that the rules use: plans on offer, prices in force, upgrade policies."""

from datetime import datetime
from typing import Protocol

from services.catalogue.model import (
    AssetType,
    InvalidSettings,
    Plan,
    Quote,
    Settings,
    UnknownModel,
)
from services.catalogue.policies import UpgradePolicy


class Terms(Protocol):
    """A catalogue, or one as history recorded it. `services.catalogue.Catalogue` has the documentation."""

    def plan(self, plan_id: str) -> Plan | None:
        """Return the plan of that id, if there is one."""

    def policy_for(self, plan: Plan) -> UpgradePolicy:
        """Return the policy of upgrades to this plan."""

    def upgrade_options(self, *, above_tier: int, asset_type: AssetType | None = None) -> tuple[str, ...]:
        """List the ids of plans of a higher tier, lowest first; with an asset type, of those that include it."""

    def quote(self, model: str, settings: Settings, at: datetime) -> Quote | UnknownModel | InvalidSettings:
        """Price a generation with these settings at that instant."""
