"""The JSON of settings, prices and quotes: numbers stay exact in both directions."""

from decimal import Decimal
from typing import get_args

import msgspec
import pytest

from services.catalogue import Money, PerTrack, Plan, PricedModel, Quote, RateCard, Settings
from services.catalogue.rate_card import RULES
from tests.unit.catalogue.samples import IN_FORCE_FROM, OPEN_BANDS, quote

NUMBERS = msgspec.json.Encoder(decimal_format="number")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"duration_seconds":180}',
        '{"duration_seconds":86399.123456789012345678,"count":2}',
        '{"count":1,"resolution":"2048x2048"}',
        '{"characters":10000000}',
    ],
)
def test_settings_come_back_as_they_went(text: str) -> None:
    assert NUMBERS.encode(msgspec.json.decode(text, type=Settings)).decode() == text


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `seed`"):
        msgspec.json.decode('{"seed":1}', type=Settings)


def test_the_json_of_a_quote() -> None:
    quoted = quote("open-bands", Settings(duration_seconds=Decimal("1.50E+2"), count=2))

    text = NUMBERS.encode(quoted)

    assert text.decode() == (
        '{"model":"open-bands","asset_type":"music","settings":{"duration_seconds":150,"count":2},"credits":300,'
        '"price":{"rate_card":"2020-01","rule":"per_track","unit":"track","quantity":2,"credits_per_unit":150}}'
    )
    assert repr(msgspec.json.decode(text, type=Quote)) == repr(quoted)


def test_a_fraction_is_written_in_full() -> None:
    quoted = quote("tenths", Settings(duration_seconds=Decimal("0.123456789012345678")))

    assert isinstance(quoted, Quote)
    assert NUMBERS.encode(quoted.price).endswith(b'"quantity":0.123456789012345678,"credits_per_unit":0.1}')


def test_money_keeps_its_decimals_and_is_a_string() -> None:
    text = msgspec.json.encode(Money("1.00", "USD"))

    assert text == b'{"amount":"1.00","currency":"USD"}'
    assert msgspec.json.decode(text, type=Money).amount == "1.00"


def test_the_json_of_a_plan_leaves_out_what_it_has_not() -> None:
    plan = Plan(
        plan_id="small",
        name="Small",
        tier=1,
        monthly_credits=10,
        billing_period="monthly",
        asset_types=("voiceover",),
    )

    assert msgspec.json.encode(plan) == (
        b'{"plan_id":"small","name":"Small","tier":1,"monthly_credits":10,"billing_period":"monthly",'
        b'"asset_types":["voiceover"]}'
    )


def test_the_json_of_a_rate_card_has_the_keys_of_the_toml() -> None:
    card = RateCard(version="2020-01", effective_from=IN_FORCE_FROM, models=(OPEN_BANDS,))

    text = NUMBERS.encode(card)

    assert text.decode() == (
        '{"version":"2020-01","effective_from":"2020-01-01T00:00:00Z","models":[{"rule":"per_track",'
        '"model":"open-bands","asset_type":"music","bands":[{"up_to_seconds":180,"credits":150},{"credits":300}]}]}'
    )
    assert msgspec.json.decode(text, type=RateCard) == card


def test_a_model_priced_by_the_track_without_a_price_is_no_model() -> None:
    with pytest.raises(ValueError, match="credits or bands"):
        PerTrack(model="free", asset_type="music")


def test_every_rule_is_the_tag_of_a_model() -> None:
    assert {model.__struct_config__.tag for model in get_args(PricedModel)} == set(RULES)
