"""Stores the rate cards of each catalogue that a ledger is opened with, so that a version names its prices for ever."""

from collections.abc import Iterable
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

    A card may take the place of another one under which nothing was charged. Raises ChangedRateCard for any other
    change, and psycopg.Error.
    """
    queries = load_queries(__file__, "rate_cards.sql", schema=schema)
    with connection.transaction():
        texts = dict(connection.execute(queries["select_cards"]).fetchall())
        for card in cards:
            row = {"version": card.version, "card": _ENCODER.encode(card).decode()}
            if card.version not in texts:
                (texts[card.version],) = connection.execute(queries["insert_card"], row).fetchone() or ("",)
            stored = msgspec.json.decode(texts[card.version], type=RateCard)
            if _content(stored) == _content(card):
                continue
            query = {"version": card.version, "effective_from": stored.effective_from}
            if connection.execute(queries["is_used"], query).fetchone() == (True,):
                raise ChangedRateCard(card.version)
            connection.execute(queries["replace_card"], row)


def _content(card: RateCard) -> object:
    """Return what a card says, whatever the order of its models."""
    return card.effective_from, {model.model: model for model in card.models}
