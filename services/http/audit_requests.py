"""The bodies that auditors and support agents send."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct, field

from services.catalogue import UpgradePolicy
from services.catalogue.load import CREDITS_PER_UNIT_MAX
from services.catalogue.pricing import DECIMAL_PLACES_MAX
from services.http.problems import invalid
from services.http.requests import GenerationId, Instant, Model, SettingsRequest
from services.subscription.commands import ChargeGeneration
from services.subscription.what_if import Changes, InsertedCharge

CHANGES_MAX = 1_000

CreditsPerUnit = Annotated[
    Decimal,
    Meta(extra_json_schema={"exclusiveMinimum": 0, "maximum": CREDITS_PER_UNIT_MAX}),
]


class InsertedChargeRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A charge to put into the history. It comes after everything that was recorded at its instant."""

    at: Instant
    generation_id: GenerationId
    model: Model
    settings: SettingsRequest = field(default_factory=SettingsRequest)


class WhatIfRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be otherwise, and where the replay ends (now). Without a change it is what happened."""

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
        """The changes. Raises Problem for a price or a duration that is out of bounds."""
        return Changes(
            without_generations=frozenset(self.without_generations),
            reprice={model: _within_bounds(model, price) for model, price in self.reprice.items()},
            upgrade_policy=self.upgrade_policy,
            insert_charges=tuple(
                InsertedCharge(each.at, ChargeGeneration(each.generation_id, each.model, each.settings.settings()))
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
