"""What the rules ask of a catalogue: the plans on offer, the prices in force, and what an upgrade leaves."""

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
    """A catalogue, or what history says that one was. `services.catalogue.Catalogue` has the documentation."""

    def plan(self, plan_id: str) -> Plan | None:
        """The plan of that id, if there is one."""

    def policy_for(self, plan: Plan) -> UpgradePolicy:
        """What an upgrade to this plan does with leftover credits."""

    def upgrade_options(self, *, above_tier: int, asset_type: AssetType | None = None) -> tuple[str, ...]:
        """Ids of the plans of a higher tier, lowest tier first; with an asset type, those that include it."""

    def quote(self, model: str, settings: Settings, at: datetime) -> Quote | UnknownModel | InvalidSettings:
        """What a generation with these settings costs at that instant."""
