"""The items of a batch: a charge, a hold, a capture or a release, each with its subscription."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from services.http.decoding import JsonBody
from services.http.problems import Problem
from services.http.requests import (
    CaptureRequest,
    ChargeRequest,
    GenerationId,
    HoldRequest,
    HoldSeconds,
    MemberId,
    Model,
    Reason,
    ReleaseRequest,
    SettingsRequest,
)
from services.subscription.commands import CaptureHold, ChargeGeneration, HoldCredits, ReleaseHold

ITEMS_MAX = 1_000

Op = Literal["charge", "hold", "capture", "release"]

BatchItem = tuple[UUID, ChargeGeneration | HoldCredits | CaptureHold | ReleaseHold] | Problem
"""A command and its subscription, or why the item of the request is none."""


class BatchedItem(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One item of a batch: the body of the request of its `op`, with its subscription and generation."""

    subscription_id: UUID
    generation_id: GenerationId
    op: Op = "charge"
    model: Annotated[Model, Meta(description="Of a charge or a hold.")] | UnsetType = UNSET
    settings: SettingsRequest | UnsetType = UNSET
    member: Annotated[MemberId, Meta(description="Of a charge or a hold.")] | UnsetType = UNSET
    expires_in_seconds: Annotated[HoldSeconds, Meta(description="Of a hold.")] | UnsetType = UNSET
    reason: Annotated[Reason, Meta(description="Of a release.")] | UnsetType = UNSET


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Items to decide in this order."""

    charges: Annotated[list[BatchedItem], Meta(min_length=1, max_length=ITEMS_MAX)]


class SeparateItems(Struct, frozen=True, forbid_unknown_fields=True):
    """A batch whose items are not decoded yet."""

    charges: Annotated[list[Raw], Meta(min_length=1, max_length=ITEMS_MAX)]


class BatchedCharge(ChargeRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One generation to charge, and to which subscription."""

    subscription_id: UUID


class _NamedCharge(BatchedCharge, frozen=True, forbid_unknown_fields=True, kw_only=True):
    op: Literal["charge"]


class _BatchedHold(HoldRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    op: Literal["hold"]
    subscription_id: UUID


class _BatchedCapture(CaptureRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    op: Literal["capture"]
    subscription_id: UUID
    generation_id: GenerationId

    def command(self) -> CaptureHold:  # type: ignore[override] # the generation is named here, and not by a path
        return super().command(self.generation_id)


class _BatchedRelease(ReleaseRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    op: Literal["release"]
    subscription_id: UUID
    generation_id: GenerationId

    def command(self) -> ReleaseHold:  # type: ignore[override] # as above
        return super().command(self.generation_id)


class _Named(Struct, frozen=True):
    op: Op = "charge"


_CHARGE, _NAMED = JsonBody(BatchedCharge), JsonBody(_Named)
_BY_OP: Mapping[Op, JsonBody[Any]] = {
    "charge": JsonBody(_NamedCharge),
    "hold": JsonBody(_BatchedHold),
    "capture": JsonBody(_BatchedCapture),
    "release": JsonBody(_BatchedRelease),
}


def decode_item(text: bytes) -> Any:
    """Decode an item, which has a `subscription_id` and a `command()`. Raises Problem."""
    return (_BY_OP[_NAMED.read(text).op] if b'"op"' in text else _CHARGE).decode(text)
