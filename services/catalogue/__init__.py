"""The catalogue: which plans there are, what they include, and what a generation costs.

model.py       plans, settings, prices, quotes
rate_card.py   rate cards, and the rules that price a model
alerts.py      thresholds at which credits are low
policies.py    what an upgrade leaves, by the policy that the catalogue names
pricing.py     settings -> quote, by the rule of the model
catalogue.py   plans and cards together: look up, quote, higher plans
form.py        the public form of the TOML: a struct for each table, with bounds and words for each key
document.py    TOML text -> the tables of the form, or the line and the reason why not
load.py        tables -> catalogue, where they fit together
toml_lines.py  the line of each key in a TOML text
difference.py  in what one catalogue differs from another
packaged.py    reads the packaged catalogue, default.toml

Everything here but packaged.py is pure: no clock, no file, no global state.
"""

from services.catalogue.catalogue import Catalogue
from services.catalogue.document import CatalogueError
from services.catalogue.load import load_catalogue
from services.catalogue.model import (
    AssetType,
    InvalidSettings,
    Money,
    Plan,
    Price,
    Quote,
    Settings,
    UnknownModel,
)
from services.catalogue.policies import UpgradePolicy
from services.catalogue.pricing import quantity_of, recompute
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
    "quantity_of",
    "recompute",
]
