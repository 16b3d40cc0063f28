"""Properties of every quote, whatever the model and the settings."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue import (
    Band,
    Catalogue,
    InvalidSettings,
    PerImage,
    PerSecond,
    PerThousandCharacters,
    PerTrack,
    PricedModel,
    Quote,
    RateCard,
    Settings,
    UnknownModel,
    recompute,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = msgspec.json.Encoder(decimal_format="number")

unit_credits = st.one_of(
    st.integers(1, 1000).map(Decimal),
    st.decimals(min_value="1E-18", max_value=1_000_000_000, allow_nan=False, places=18),
)
resolutions = st.sampled_from(["512x512", "2048x2048", "4096x4096"])


@st.composite
def bands(draw: st.DrawFn) -> tuple[Band, ...]:
    edges: list[Decimal | None] = [*sorted(draw(st.sets(st.integers(1, 500).map(Decimal), max_size=4)))]
    if not edges or draw(st.booleans()):
        edges.append(None)
    return tuple(Band(up_to_seconds=edge, credits=draw(unit_credits)) for edge in edges)


def named(rule: type[PerSecond | PerThousandCharacters]) -> st.SearchStrategy[PricedModel]:
    return st.builds(rule, model=st.just("model"), asset_type=st.just("music"), credits=unit_credits)


models: st.SearchStrategy[PricedModel] = st.one_of(
    st.builds(PerTrack, model=st.just("model"), asset_type=st.just("music"), credits=unit_credits, bands=st.just(())),
    st.builds(PerTrack, model=st.just("model"), asset_type=st.just("music"), bands=bands()),
    named(PerSecond),
    st.builds(
        PerImage,
        model=st.just("model"),
        asset_type=st.just("image"),
        credits=unit_credits,
        resolutions=st.dictionaries(resolutions, unit_credits, max_size=2),
    ),
    named(PerThousandCharacters),
)


@st.composite
def settings_for(draw: st.DrawFn, model: PricedModel) -> Settings:
    """Draw settings, mostly those of the model, now and then out of bounds or of another model."""
    values: dict[str, st.SearchStrategy[object]] = {
        "duration_seconds": st.one_of(
            st.integers(1, 600).map(Decimal),
            st.decimals(min_value=0, max_value=86_500, allow_nan=False, places=draw(st.integers(0, 20))),
        ),
        "count": st.integers(0, 1001),
        "resolution": resolutions,
        "characters": st.integers(0, 10_000_001),
    }
    keys = draw(st.sets(st.sampled_from(model.takes))) | draw(st.sets(st.sampled_from(sorted(values)), max_size=1))
    return msgspec.convert({key: draw(values[key]) for key in sorted(keys)}, Settings)


requests = models.flatmap(lambda model: st.tuples(st.just(model), settings_for(model)))


def quote(model: PricedModel, settings: Settings) -> Quote | UnknownModel | InvalidSettings:
    card = RateCard(version="v1", effective_from=AT, models=(model,))
    return Catalogue(plans=[], rate_cards=[card]).quote(model.model, settings, AT)


@given(request=requests)
def test_credits_are_the_recorded_product_rounded_up_and_at_least_one(request: tuple[PricedModel, Settings]) -> None:
    match quote(*request):
        case Quote(credits=total_credits, price=price):
            product = Fraction(price.quantity) * Fraction(price.credits_per_unit)
            assert type(total_credits) is int
            assert total_credits == max(1, ceil(product)) == recompute(price)
        case InvalidSettings(key=key):
            assert key in Settings.__struct_fields__
        case UnknownModel():
            raise AssertionError("the card prices the model")


@given(request=requests)
def test_normalised_settings_give_the_same_quote(request: tuple[PricedModel, Settings]) -> None:
    model, settings = request
    quoted = quote(model, settings)
    if isinstance(quoted, Quote):
        assert repr(quote(model, quoted.settings)) == repr(quoted)


@given(request=requests)
def test_a_quote_comes_back_from_json_to_the_digit(request: tuple[PricedModel, Settings]) -> None:
    quoted = quote(*request)
    if isinstance(quoted, Quote):
        text = NUMBERS.encode(quoted)
        back = msgspec.json.decode(text, type=Quote)
        assert (repr(back), NUMBERS.encode(back)) == (repr(quoted), text)
        assert recompute(back.price) == quoted.credits
