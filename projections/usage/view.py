"""The public form of usage, as the API answers it."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from services.catalogue.model import AssetType

UsageKey = Literal["day", "month", "model", "asset_type"]


class Usage(Struct, frozen=True, kw_only=True):
    """What was charged and reversed, by the keys of `group_by`: `net = credits - reversed`.

    A reversal counts on the day of UTC on which it was recorded, under the model of its charge.
    """

    day: Annotated[str, Meta(examples=["2026-02-03"])] | UnsetType = UNSET
    month: Annotated[str, Meta(examples=["2026-02"])] | UnsetType = UNSET
    model: str | UnsetType = UNSET
    asset_type: AssetType | UnsetType = UNSET
    charges: int
    credits: int
    reversed_credits: int
    net_credits: int

    @property
    def key(self) -> "UsageGroup":
        """Its place in the order of a list."""
        return UsageGroup(self.day or self.month or "", self.model or "", self.asset_type or "")


class UsageGroup(Struct, frozen=True, array_like=True, tag=True):
    """The key of a row; empty text stands for a key that is not in `group_by`."""

    period: Annotated[str, Meta(pattern=r"^[0-9-]*\Z", max_length=10)]
    model: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z", max_length=128)]
    asset_type: AssetType | Literal[""]


def usage_view(group: UsageGroup, keys: frozenset[UsageKey], sums: tuple[int, int, int]) -> Usage:
    """Make the public form of a group; `sums` are its charges, credits and reversed credits."""
    charges, charged_credits, reversed_credits = sums
    return Usage(
        day=group.period if "day" in keys else UNSET,
        month=group.period if "month" in keys else UNSET,
        model=group.model or UNSET,
        asset_type=group.asset_type or UNSET,
        charges=charges,
        credits=charged_credits,
        reversed_credits=reversed_credits,
        net_credits=charged_credits - reversed_credits,
    )
