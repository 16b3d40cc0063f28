"""Loads a catalogue from TOML, or names the line and the reason why it cannot."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import UTC
from itertools import pairwise

from msgspec import convert, to_builtins
from msgspec.structs import replace

from services.catalogue.alerts import ten_thousandths
from services.catalogue.catalogue import Catalogue
from services.catalogue.document import CatalogueError, parse
from services.catalogue.form import BandTable, PerTrackTable, PlanTable, RateCardTable
from services.catalogue.model import Plan
from services.catalogue.rate_card import RateCard
from services.catalogue.toml_lines import Path, line_of

Fault = tuple[Path, str]
"""The path of a fault in the document, and the reason."""


def load_catalogue(text: str, source: str) -> Catalogue:
    """Load the catalogue that a TOML text describes; `source` names the text in errors.

    Raises `CatalogueError`, whose text is `SOURCE:LINE: reason`, for one of its faults.
    """
    document = parse(text, source)
    faults = (
        *_faults_of_alerts(document.alerts),
        *_faults_of_plans(document.plans),
        *_faults_of_cards(document.rate_cards),
    )
    for path, reason in faults:
        raise CatalogueError(source, line_of(text, path), reason)
    return Catalogue(
        plans=convert(document.plans, tuple[Plan, ...], from_attributes=True),
        rate_cards=map(_rate_card, document.rate_cards),
        upgrade_policy=document.upgrade_policy,
        alerts=document.alerts,
    )


def line_of_rate_card(text: str, version: str) -> int:
    """Return the line of a rate card's version in the TOML text of a catalogue. Raises CatalogueError."""
    versions = [card.version for card in parse(text, "").rate_cards]
    return line_of(text, ("rate_cards", versions.index(version), "version"))


def _rate_card(table: RateCardTable) -> RateCard:
    card = convert(to_builtins(table, enc_hook=str), RateCard)
    return replace(card, effective_from=card.effective_from.astimezone(UTC))


def _faults_of_alerts(alerts: Sequence[str]) -> Iterator[Fault]:
    for element, _ in _repetitions(map(ten_thousandths, alerts)):
        yield ("alerts", element), f'alerts holds "{alerts[element]}" twice'


def _faults_of_plans(plans: Sequence[PlanTable]) -> Iterator[Fault]:
    for number, _ in _repetitions(plan.plan_id for plan in plans):
        yield ("plans", number, "id"), f'id "{plans[number].plan_id}" is that of an earlier plan'
    for number, plan in enumerate(plans):
        for path, reason in _faults_of_alerts(plan.alerts or ()):
            yield ("plans", number, *path), reason
        for element, _ in _repetitions(plan.asset_types):
            path = ("plans", number, "asset_types", element)
            yield path, f'asset_types holds "{plan.asset_types[element]}" twice'


def _faults_of_cards(cards: Sequence[RateCardTable]) -> Iterator[Fault]:
    for number, _ in _repetitions(card.version for card in cards):
        yield ("rate_cards", number, "version"), f'version "{cards[number].version}" is that of an earlier rate card'
    for number, earlier in _repetitions(card.effective_from for card in cards):
        reason = f'effective_from is that of rate card "{cards[earlier].version}"'
        yield ("rate_cards", number, "effective_from"), reason
    for number, card in enumerate(cards):
        for path, reason in _faults_of_card(card):
            yield ("rate_cards", number, *path), reason


def _faults_of_card(card: RateCardTable) -> Iterator[Fault]:
    try:
        card.effective_from.astimezone(UTC)
    except OverflowError:
        instant = card.effective_from.isoformat()
        yield ("effective_from",), f"effective_from must be in the years 1 to 9999 of UTC, not {instant}"
    for number, _ in _repetitions(model.model for model in card.models):
        yield ("models", number, "model"), f'model "{card.models[number].model}" is priced twice on this rate card'
    for number, model in enumerate(card.models):
        for path, reason in _faults_of_bands(model.bands) if isinstance(model, PerTrackTable) else ():
            yield ("models", number, "bands", *path), reason


def _faults_of_bands(bands: Sequence[BandTable]) -> Iterator[Fault]:
    for number, (before, band) in enumerate(pairwise(bands), start=1):
        if before.up_to_seconds is None:
            yield (number,), "no band may follow one without up_to_seconds"
        elif band.up_to_seconds is not None and band.up_to_seconds <= before.up_to_seconds:
            reason = f"up_to_seconds must be above that of the band before, {before.up_to_seconds}"
            yield (number, "up_to_seconds"), reason


def _repetitions(values: Iterable[Hashable]) -> Iterator[tuple[int, int]]:
    """Yield the index of each repeated value, and the index of its first occurrence."""
    first: dict[Hashable, int] = {}
    for number, value in enumerate(values):
        if (earlier := first.setdefault(value, number)) != number:
            yield number, earlier
