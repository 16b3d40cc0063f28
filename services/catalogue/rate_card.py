"""Defines rate cards: the models from an instant on, and the rule that prices each.

A model is one of four structs, tagged by `rule`; their JSON has the keys of the catalogue's TOML. `unit` of a class
names the unit that it counts, `takes` the settings that it accepts.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal, get_args

from msgspec import Struct

from services.catalogue.model import AssetType

Rule = Literal["per_track", "per_second", "per_image", "per_1000_characters"]
RULES: tuple[Rule, ...] = get_args(Rule)


class Band(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Credits of a track that lasts at most `up_to_seconds`; None: however long."""

    up_to_seconds: Decimal | None = None
    credits: Decimal


class PerTrack(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="rule", tag="per_track"):
    """So many credits a track; with bands, by its duration.

    Bands are in order of `up_to_seconds`, and only the last may be open. Without bands there are `credits`.
    """

    unit: ClassVar[str] = "track"
    takes: ClassVar[tuple[str, ...]] = ("duration_seconds", "count")

    model: str
    asset_type: AssetType
    credits: Decimal | None = None
    bands: tuple[Band, ...] = ()

    def __post_init__(self) -> None:
        if self.credits is None and not self.bands:
            raise ValueError("a model priced by the track has credits or bands")


class PerSecond(Struct, frozen=True, kw_only=True, tag_field="rule", tag="per_second"):
    """So many credits a second, of each of `count` generations."""

    unit: ClassVar[str] = "second"
    takes: ClassVar[tuple[str, ...]] = ("duration_seconds", "count")

    model: str
    asset_type: AssetType
    credits: Decimal


class PerImage(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="rule", tag="per_image"):
    """So many credits an image; `resolutions` lists those that may be asked for, and their credits."""

    unit: ClassVar[str] = "image"
    takes: ClassVar[tuple[str, ...]] = ("resolution", "count")

    model: str
    asset_type: AssetType
    credits: Decimal
    resolutions: Mapping[str, Decimal] = {}


class PerThousandCharacters(Struct, frozen=True, kw_only=True, tag_field="rule", tag="per_1000_characters"):
    """So many credits a thousand characters, a part of a thousand counting as that part."""

    unit: ClassVar[str] = "1000_characters"
    takes: ClassVar[tuple[str, ...]] = ("characters",)

    model: str
    asset_type: AssetType
    credits: Decimal


PricedModel = PerTrack | PerSecond | PerImage | PerThousandCharacters


class RateCard(Struct, frozen=True, kw_only=True):
    """The prices in force from `effective_from` (UTC) until the next card's."""

    version: str
    effective_from: datetime
    models: tuple[PricedModel, ...]
