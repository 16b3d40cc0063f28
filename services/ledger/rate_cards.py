"""Stores the rate cards of each catalogue that a ledger is opened with, so that a version names its prices for ever."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from psycopg import Connection

from services.catalogue import RateCard
from services.postgres.sql import load_queries

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class ChangedRateCard(ValueError):
    """A rate card is not what it was when generations were charged under it."""

    def __init__(self, version: str) -> None:
        super().__init__(f'rate card "{version}" was another one when generations were charged under it')
        self.version = version


def store_rate_cards(connection: Connection[Any], schema: str, cards: Iterable[RateCard]) -> None:
    """Store the cards of a catalogue on an autocommit connection, each under its version.

    A card may take the place of another one under which nothing was charged or held. Raises ChangedRateCard for any
    other change, and psycopg.Error.
    """
    queries = load_queries(__file__, "rate_cards.sql", schema=schema)
    with connection.transaction():
        texts = _texts(connection, queries)
        for card in cards:
            row = {"version": card.version, "card": _ENCODER.encode(card).decode()}
            if card.version not in texts:
                (texts[card.version],) = connection.execute(queries["insert_card"], row).fetchone() or ("",)
            if _is_changed(texts[card.version], card):
                if _is_used(connection, queries, card.version, texts[card.version]):
                    raise ChangedRateCard(card.version)
                connection.execute(queries["replace_card"], row)


def changed_rate_cards(connection: Connection[Any], schema: str, cards: Iterable[RateCard]) -> list[ChangedRateCard]:
    """List the cards of a catalogue that `store_rate_cards` would refuse. Stores nothing. Raises psycopg.Error."""
    queries = load_queries(__file__, "rate_cards.sql", schema=schema)
    texts = _texts(connection, queries)
    return [
        ChangedRateCard(card.version)
        for card in cards
        if card.version in texts
        and _is_changed(texts[card.version], card)
        and _is_used(connection, queries, card.version, texts[card.version])
    ]


def _texts(connection: Connection[Any], queries: Mapping[str, bytes]) -> dict[str, str]:
    return dict(connection.execute(queries["select_cards"]).fetchall())


def _is_changed(text: str, card: RateCard) -> bool:
    return _content(msgspec.json.decode(text, type=RateCard)) != _content(card)


def _is_used(connection: Connection[Any], queries: Mapping[str, bytes], version: str, text: str) -> bool:
    """Whether something was charged or held under the version, whose stored card is this text."""
    query = {"version": version, "effective_from": msgspec.json.decode(text, type=RateCard).effective_from}
    return connection.execute(queries["is_used"], query).fetchone() == (True,)


def _content(card: RateCard) -> object:
    """Return what a card says, whatever the order of its models."""
    return card.effective_from, {model.model: model for model in card.models}
