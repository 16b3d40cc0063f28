"""The catalogue: which plans there are, what they include, and what a generation costs.

    model.py      plans, settings, prices: what is sold and asked for
    rate_card.py  rate cards, and the rules that price a model
    pricing.py    settings -> quote, by the rule of the model
    catalogue.py  plans and cards together: look up, quote, upgrade options
    load.py       TOML -> catalogue, or the line and the reason why not
    document.py   a TOML document whose values are checked where they are read
    toml_lines.py which line of a TOML text holds a key
    default.toml  the packaged catalogue; packaged.py reads it, and alone touches a file

Everything else here is pure: no clock, no file, no global.
"""

from services.catalogue.catalogue import Catalogue
from services.catalogue.document import CatalogueError
from services.catalogue.load import load_catalogue
from services.catalogue.model import (
    AssetType,
    BillingPeriod,
    InvalidSettings,
    Money,
    Plan,
    Price,
    Quote,
    Settings,
    UnknownModel,
    UpgradePolicy,
)
from services.catalogue.pricing import recompute
from services.catalogue.rate_card import (
    Band,
    PerImage,
    PerSecond,
    PerThousandCharacters,
    PerTrack,
    PricedModel,
    RateCard,
)

__all__ = [
    "AssetType",
    "Band",
    "BillingPeriod",
    "Catalogue",
    "CatalogueError",
    "InvalidSettings",
    "Money",
    "PerImage",
    "PerSecond",
    "PerThousandCharacters",
    "PerTrack",
    "Plan",
    "Price",
    "PricedModel",
    "Quote",
    "RateCard",
    "Settings",
    "UnknownModel",
    "UpgradePolicy",
    "load_catalogue",
    "recompute",
]
