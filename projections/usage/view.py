"""The public form of usage, as the API answers it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from services.catalogue.model import AssetType

UsageKey = Literal["day", "month", "cycle", "model", "asset_type", "member", "account_id", "plan_id"]
PERIODS = frozenset[UsageKey](("day", "month", "cycle"))
"""The keys of which one at most adds usage up."""

Text = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z", max_length=1_000)]


class Usage(Struct, frozen=True, kw_only=True):
    """What was charged and reversed, by the keys of `group_by`: `net = credits - reversed`.

    A reversal counts on the day of UTC on which it was recorded, in the cycle in which the credits were given back,
    under the model, the asset type and the member of its charge. `member` is null where the charges name none.
    """

    day: Annotated[str, Meta(examples=["2026-02-03"])] | UnsetType = UNSET
    month: Annotated[str, Meta(examples=["2026-02"])] | UnsetType = UNSET
    cycle: Annotated[int, Meta(examples=[1])] | UnsetType = UNSET
    model: str | UnsetType = UNSET
    asset_type: AssetType | UnsetType = UNSET
    member: str | UnsetType | None = UNSET
    account_id: str | UnsetType = UNSET
    plan_id: str | UnsetType = UNSET
    charges: int
    credits: int
    reversed_credits: int
    net_credits: int


class UsageGroup(Struct, frozen=True, array_like=True, tag=True):
    """The key of a row, in the order of the list; empty text and 0 stand for a key that is not in `group_by`."""

    period: Annotated[str, Meta(pattern=r"^[0-9-]*\Z", max_length=10)]
    cycle: Annotated[int, Meta(ge=0, le=2**62)]
    model: Text
    asset_type: AssetType | Literal[""]
    member: Text
    account_id: Text
    plan_id: Text


def group_of(usage: Usage) -> UsageGroup:
    """Return the place of a row in the order of its list."""
    return UsageGroup(
        usage.day or usage.month or "",
        usage.cycle or 0,
        usage.model or "",
        usage.asset_type or "",
        usage.member or "",
        usage.account_id or "",
        usage.plan_id or "",
    )


def usage_view(group: UsageGroup, keys: frozenset[UsageKey], sums: Sequence[int]) -> Usage:
    """Make the public form of a group; `sums` are its charges, credits and reversed credits."""
    charges, charged_credits, reversed_credits = sums
    values: dict[str, Any] = {
        **asdict(group),
        "day": group.period,
        "month": group.period,
        "member": group.member or None,
    }
    return Usage(
        **{key: values[key] for key in get_args(UsageKey) if key in keys},
        charges=charges,
        credits=charged_credits,
        reversed_credits=reversed_credits,
        net_credits=charged_credits - reversed_credits,
    )
