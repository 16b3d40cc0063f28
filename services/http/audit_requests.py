"""The bodies that auditors and support agents send, and the commands that they stand for."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from services.catalogue import UpgradePolicy
from services.catalogue.form import CREDITS_PER_UNIT_MAX
from services.catalogue.pricing import DECIMAL_PLACES_MAX
from services.dispute.commands import OpenDispute, ResolveDispute
from services.dispute.events import Outcome, Reason
from services.http.instants import Instant
from services.http.problems import invalid
from services.http.requests import GenerationId, Model, SettingsRequest, settings_of
from services.subscription.commands import ChargeGeneration
from services.subscription.events import CreditTo
from services.subscription.what_if import Changes, InsertedCharge

CHANGES_MAX = 1_000
NOTE_MAX = 4_000

CreditsPerUnit = Annotated[
    Decimal,
    Meta(extra_json_schema={"exclusiveMinimum": 0, "maximum": CREDITS_PER_UNIT_MAX}),
]


Note = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+\Z",
        min_length=1,
        max_length=NOTE_MAX,
        description="In words, for those who read it later.",
    ),
]


class OpenDisputeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A charge that somebody says is wrong, and why."""

    subscription_id: UUID
    generation_id: GenerationId
    reason: Reason
    note: Note

    def command(self, dispute_id: UUID) -> OpenDispute:
        """Make the command, for a new dispute of this id."""
        return OpenDispute(dispute_id, self.generation_id, self.reason, self.note)


class ResolveDisputeRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The decision. `credit_to` is needed where the dispute is upheld, and says nothing where it is rejected.

    `credits` is for an upheld dispute alone.
    """

    outcome: Outcome
    note: Note
    credit_to: CreditTo | None = None
    credits: (
        Annotated[int, Meta(ge=1, description="The part of the charge to give back; without it, all of it.")] | None
    ) = None

    def command(self, dispute_id: UUID, generation_id: str) -> ResolveDispute:
        """Make the command. Raises Problem for an upheld dispute without `credit_to`, a rejected one with `credits`."""
        if self.outcome == "upheld" and self.credit_to is None:
            raise invalid("credit_to", "is required where the dispute is upheld")
        if self.outcome == "rejected" and self.credits is not None:
            raise invalid("credits", "is for an upheld dispute: a rejected one gives nothing back")
        credit_to = self.credit_to or "current_cycle"
        return ResolveDispute(dispute_id, generation_id, self.outcome, self.note, credit_to, self.credits)


class InsertedChargeRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A charge to put into the history. It comes after everything that was recorded at its instant."""

    at: Instant
    generation_id: GenerationId
    model: Model
    settings: SettingsRequest | UnsetType = UNSET


class WhatIfRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The changes of a replay, and where it ends (now). Without a change it shows what happened."""

    until: Annotated[Instant, Meta(description="The end of the replay; now, where it is left out.")] | None = None
    without_generations: Annotated[
        list[GenerationId], Meta(max_length=CHANGES_MAX, description="Generations that nobody asked for.")
    ] = []
    reprice: Annotated[
        Mapping[Model, CreditsPerUnit],
        Meta(max_length=CHANGES_MAX, description="Credits per unit (track, second, image, 1,000 characters) by model."),
    ] = {}
    upgrade_policy: Annotated[UpgradePolicy, Meta(description="The policy of every upgrade.")] | None = None
    insert_charges: Annotated[
        list[InsertedChargeRequest], Meta(max_length=CHANGES_MAX, description="Charges to put into the history.")
    ] = []

    def changes(self) -> Changes:
        """Make the changes. Raises Problem for a price or a duration that is out of bounds."""
        return Changes(
            without_generations=frozenset(self.without_generations),
            reprice={model: _within_bounds(model, price) for model, price in self.reprice.items()},
            upgrade_policy=self.upgrade_policy,
            insert_charges=tuple(
                InsertedCharge(each.at, ChargeGeneration(each.generation_id, each.model, settings_of(each.settings)))
                for each in self.insert_charges
            ),
        )


def _within_bounds(model: str, credits_per_unit: Decimal) -> Decimal:
    exponent = credits_per_unit.as_tuple().exponent
    is_fine = isinstance(exponent, int) and exponent >= -DECIMAL_PLACES_MAX
    if not is_fine or not 0 < credits_per_unit <= CREDITS_PER_UNIT_MAX:
        reason = (
            f"must be above 0 and at most {CREDITS_PER_UNIT_MAX:,}, with at most {DECIMAL_PLACES_MAX} decimal places"
        )
        raise invalid(f"reprice.{model}", reason)
    return credits_per_unit
