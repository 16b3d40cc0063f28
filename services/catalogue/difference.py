"""Says in what one catalogue differs from another. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, field, to_builtins

from services.catalogue.catalogue import Catalogue
from services.catalogue.rate_card import RateCard


class Change(Struct, frozen=True):
    """A value that becomes another one; null is none. `what` is the key of a plan, or `MODEL.KEY` of a rate card.

    What comes or goes is told as a whole: `plan`, `rate_card`, or a model by its name.
    """

    what: str
    before: Any = field(name="from")
    after: Any = field(name="to")


class PlanChanges(Struct, frozen=True):
    """What becomes of a plan, and how many subscriptions that have not ended are on it now."""

    plan_id: str
    subscriptions: int
    changes: list[Change]


class RateCardChanges(Struct, frozen=True):
    """What becomes of a rate card: of its models, or of those that it prices anew, where it is a new one."""

    version: str
    effective_from: datetime
    changes: list[Change]


class CatalogueChanges(Struct, frozen=True):
    """What becomes of plans and rate cards, and the reasons why the service would not start on the new catalogue."""

    plans: list[PlanChanges]
    rate_cards: list[RateCardChanges]
    refused: list[str]


def plan_changes(present: Catalogue, new: Catalogue, subscriptions: Mapping[str, int]) -> list[PlanChanges]:
    """List the plans that change; `subscriptions` counts those on each plan. The catalogue's policy is every plan's."""
    changes = []
    before, after = _plans(present), _plans(new)
    for plan_id in _all((before, after)):
        found = [*_between("plan", "", before.get(plan_id), after.get(plan_id))]
        if found:
            changes.append(PlanChanges(plan_id, subscriptions.get(plan_id, 0), found))
    return changes


def rate_card_changes(present: Catalogue, new: Catalogue) -> list[RateCardChanges]:
    """List the rate cards that change, are gone or are new. A new one is compared with that which it supersedes."""
    before = {card.version: card for card in present.rate_cards}
    after = {card.version: card for card in new.rate_cards}
    changes = []
    for version in _all((before, after)):
        old, card = before.get(version), after.get(version)
        if card is None:
            assert old is not None
            found = [Change("rate_card", to_builtins(old), None)]
        elif old is None:
            found = [*_between_cards(present.card_at(card.effective_from), card)]
        else:
            found = [*_between_cards(old, card)]
        if found or old is None:
            changes.append(RateCardChanges(version, (card or before[version]).effective_from, found))
    return changes


def _between_cards(before: RateCard | None, after: RateCard) -> Iterator[Change]:
    if before is not None and before.version == after.version and before.effective_from != after.effective_from:
        yield Change("effective_from", before.effective_from, after.effective_from)
    old, new = _models(before) if before else {}, _models(after)
    for model in _all((old, new)):
        yield from _between(model, f"{model}.", old.get(model), new.get(model))


def _models(card: RateCard) -> dict[str, dict[str, Any]]:
    return {model.model: to_builtins(model) for model in card.models}


def _plans(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """Make the plans by id, each with the policy of upgrades to it."""
    return {
        plan.plan_id: {**to_builtins(plan), "upgrade_policy": catalogue.policy_for(plan)} for plan in catalogue.plans
    }


def _between(whole: str, prefix: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> Iterator[Change]:
    if before is None or after is None:
        yield Change(whole, before, after)
        return
    for key in _all((before, after)):
        if before.get(key) != after.get(key):
            yield Change(prefix + key, before.get(key), after.get(key))


def _all(tables: Iterable[Mapping[str, object]]) -> list[str]:
    """List the keys of all tables, each once, in their order."""
    return list(dict.fromkeys(key for table in tables for key in table))
