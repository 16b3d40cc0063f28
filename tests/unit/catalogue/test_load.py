"""Loading a catalogue, or the line and the reason why it does not load."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue import Catalogue, CatalogueError, UpgradePolicy, load_catalogue
from services.catalogue.packaged import packaged
from services.catalogue.rate_card import RULES

# The smallest catalogue, with its line numbers. The tests below replace a part of it.
SMALLEST = """\
[[plans]]
id = "small"
name = "Small"
tier = 1
monthly_credits = 100
billing_period = "monthly"
asset_types = ["music"]

[[rate_cards]]
version = "2020-01"
effective_from = 2020-01-01T00:00:00Z

[[rate_cards.models]]
model = "track"
asset_type = "music"
rule = "per_track"
credits = 150
"""
PLAN = SMALLEST[: SMALLEST.index("\n[[rate_cards]]")]
CARD = SMALLEST[SMALLEST.index("[[rate_cards]]") :]
MODEL = SMALLEST[SMALLEST.index("[[rate_cards.models]]") :]
RULE = 'rule = "per_track"\ncredits = 150\n'

POLICIES = ", ".join(get_args(UpgradePolicy))
ASSET_TYPES = "voiceover, image, video, music"
IDENTIFIER = "1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
VERSION = "a string of 1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit"
NAME = "a line of 1 to 200 characters with no space at either end"
TIER = "a whole number from 1 to 1,000,000"
ALLOWANCE = "a whole number from 1 to 1,000,000,000,000"
PRICE = 'a whole number or a string such as "0.5", above 0 and at most 1,000,000,000'
INSTANT = "a date and time with an offset, such as 2020-01-01T00:00:00Z"
PLAN_KEYS = "id, name, tier, monthly_credits, billing_period, asset_types, price, upgrade_policy, alerts"


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("tier = 1", "tier = 1000000"),
        ("monthly_credits = 100", "monthly_credits = 0x10"),
        ('id = "small"', f'id = "{"0" * 64}"'),
        ('version = "2020-01"', 'version = "V.1_b-2"'),
        (RULE, 'rule = "per_track"\ncredits = "33.40"\n'),
        (RULE, 'rule = "per_track"\nbands = [{ up_to_seconds = "0.5", credits = "0.1" }]\n'),
        (RULE, 'rule = "per_track"\nbands = [{ credits = 1 }]\n'),
        (RULE, 'rule = "per_image"\ncredits = 1\nresolutions = {}\n'),
        (RULE, 'rule = "per_image"\ncredits = 1\n'),
        (RULE, f'rule = "per_second"\ncredits = "0.{"0" * 17}1"\n'),
        (MODEL, MODEL + MODEL.replace('"track"', '"track-2"')),
        (PLAN, PLAN + PLAN.replace('"small"', '"small-yearly"').replace('"monthly"', '"yearly"')),
        ("\n", "\r\n"),
        (SMALLEST, "# Überschrift\n" + SMALLEST),
    ],
)
def test_these_forms_load(part: str, instead: str) -> None:
    assert load_catalogue(SMALLEST.replace(part, instead), "c.toml").plans[0].tier >= 1


@pytest.mark.parametrize("rule", RULES)
def test_a_model_may_have_every_rule(rule: str) -> None:
    catalogue = load_catalogue(SMALLEST.replace('"per_track"', f'"{rule}"'), "c.toml")

    (model,) = catalogue.rate_cards[0].models
    assert model.__struct_config__.tag == rule


def test_an_offset_becomes_utc() -> None:
    text = SMALLEST.replace("2020-01-01T00:00:00Z", "2020-01-01T01:30:00.000001+01:30")

    [card] = load_catalogue(text, "c.toml").rate_cards

    assert card.effective_from.isoformat() == "2020-01-01T00:00:00.000001+00:00"


@pytest.mark.parametrize(
    ("part", "instead", "problem"),
    [
        # Not TOML.
        ("tier = 1", "tier =", "4: not TOML: Invalid value"),
        (
            "[[plans]]",
            "[extra.keys]\n[[plans]]",
            '1: unknown key "extra", expected one of: upgrade_policy, alerts, plans, rate_cards',
        ),
        ("tier = 1", "tier = 1\ntier = 2", "5: not TOML: Cannot overwrite a value"),
        ("credits = 150\n", "credits = ", "17: not TOML: Invalid value"),
        # The whole.
        (SMALLEST, "", '1: missing key "plans"'),
        (SMALLEST, PLAN, '1: missing key "rate_cards"'),
        (SMALLEST, CARD, '1: missing key "plans"'),
        (PLAN, "plans = []\n", "1: plans must be an array of at least one table, not an empty array"),
        (PLAN, "\n\nplans = 3\n", "3: plans must be an array of at least one table, not 3"),
        (PLAN, 'plans = [\n  "small",\n]\n', '2: each of plans must be a table, not "small"'),
        (
            "[[plans]]",
            "[[plan]]",
            '1: unknown key "plan", expected one of: upgrade_policy, alerts, plans, rate_cards',
        ),
        (
            "[[plans]]",
            'alerts = ["0.2", "1.1"]\n[[plans]]',
            '1: each of alerts must be a decimal string from "0" to "1" with at most four decimals, not "1.1"',
        ),
        ("[[plans]]", 'alerts = ["0.2", "0.20"]\n[[plans]]', '1: alerts holds "0.20" twice'),
        (
            "[[plans]]",
            "alerts = 0.2\n[[plans]]",
            "1: alerts must be an array of at most 10 thresholds, not 0.2",
        ),
        (
            "[[plans]]",
            'upgrade_policy = "none"\n[[plans]]',
            f'1: upgrade_policy must be one of {POLICIES}, not "none"',
        ),
        # Plans.
        ("tier = 1", "teir = 1", f'4: unknown key "teir", expected one of: {PLAN_KEYS}'),
        ("tier = 1\n", "", '1: missing key "tier"'),
        ("tier = 1", "tier = 0", f"4: tier must be {TIER}, not 0"),
        ("tier = 1", "tier = 1000001", f"4: tier must be {TIER}, not 1000001"),
        ("tier = 1", "tier = true", f"4: tier must be {TIER}, not true"),
        ("tier = 1", "tier = 1.0", f"4: tier must be {TIER}, not 1.0"),
        ("tier = 1", 'tier = "1"', f'4: tier must be {TIER}, not "1"'),
        ("tier = 1", "tier = 0x" + "f" * 5000, f"4: tier must be {TIER}, not so large a number"),
        ("tier = 1", "tier = 2020-01-01", f"4: tier must be {TIER}, not 2020-01-01"),
        ("tier = 1", "tier = { a = 1 }", f"4: tier must be {TIER}, not a table"),
        ("tier = 1", "tier = [1]", f"4: tier must be {TIER}, not an array"),
        ("monthly_credits = 100", "monthly_credits = 0", f"5: monthly_credits must be {ALLOWANCE}, not 0"),
        ("monthly_credits = 100", "monthly_credits = -1", f"5: monthly_credits must be {ALLOWANCE}, not -1"),
        ('id = "small"', 'id = "Small"', f'2: id must be {IDENTIFIER}, not "Small"'),
        ('id = "small"', 'id = "-small"', f'2: id must be {IDENTIFIER}, not "-small"'),
        ('id = "small"', 'id = ""', f'2: id must be {IDENTIFIER}, not ""'),
        ('id = "small"', "id = 7", f"2: id must be {IDENTIFIER}, not 7"),
        ('id = "small"', 'id = "small\\n"', f'2: id must be {IDENTIFIER}, not "small\\n"'),
        ('id = "small"', f'id = "{"a" * 65}"', f'2: id must be {IDENTIFIER}, not "{"a" * 59}…'),
        ('name = "Small"', 'name = " Small"', f'3: name must be {NAME}, not " Small"'),
        ('name = "Small"', 'name = ""', f'3: name must be {NAME}, not ""'),
        (
            'billing_period = "monthly"',
            'billing_period = "weekly"',
            '6: billing_period must be one of monthly, yearly, not "weekly"',
        ),
        ('["music"]', "[]", f"7: asset_types must be an array of at least one of {ASSET_TYPES}, not an empty array"),
        ('["music"]', '"music"', f'7: asset_types must be an array of at least one of {ASSET_TYPES}, not "music"'),
        ('["music"]', '[\n"music",\n"text"]', f'9: each of asset_types must be one of {ASSET_TYPES}, not "text"'),
        ('["music"]', '["music", "music"]', '7: asset_types holds "music" twice'),
        (
            PLAN,
            PLAN + PLAN,
            '9: id "small" is that of an earlier plan',
        ),
        # Money.
        ('["music"]', '["music"]\nprice = 1', "8: price must be a table, not 1"),
        ('["music"]', '["music"]\nprice = { amount = "1.00" }', '8: missing key "currency"'),
        (
            '["music"]',
            '["music"]\n[plans.price]\ncurrency = "USD"\namount = 1.00',
            '10: amount must be a decimal string such as "1.00", not 1.0',
        ),
        (
            '["music"]',
            '["music"]\nprice = { amount = "-1", currency = "USD" }',
            '8: amount must be a decimal string such as "1.00", not "-1"',
        ),
        (
            '["music"]',
            '["music"]\nprice = { amount = "01", currency = "USD" }',
            '8: amount must be a decimal string such as "1.00", not "01"',
        ),
        (
            '["music"]',
            '["music"]\nprice = { amount = "1", currency = "usd" }',
            '8: currency must be three capital letters, not "usd"',
        ),
        (
            '["music"]',
            '["music"]\nprice = { amount = "1", currency = "USD", tax = 1 }',
            '8: unknown key "tax", expected one of: amount, currency',
        ),
        # Rate cards.
        ('version = "2020-01"\n', "", '9: missing key "version"'),
        ('version = "2020-01"', "version = 2020", f"10: version must be {VERSION}, not 2020"),
        ('version = "2020-01"', 'version = "a b"', f'10: version must be {VERSION}, not "a b"'),
        (
            'version = "2020-01"',
            'version = "2020-01"\nvalid_to = 1',
            '11: unknown key "valid_to", expected one of: version, effective_from, models',
        ),
        ("00:00:00Z", "00:00:00", f"11: effective_from must be {INSTANT}, not 2020-01-01T00:00:00"),
        ("2020-01-01T00:00:00Z", "2020-01-01", f"11: effective_from must be {INSTANT}, not 2020-01-01"),
        ("2020-01-01T00:00:00Z", '"2020"', f'11: effective_from must be {INSTANT}, not "2020"'),
        (
            "2020-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "11: effective_from must be in the years 1 to 9999 of UTC, not 0001-01-01T00:00:00+01:00",
        ),
        (CARD, CARD.replace(MODEL, ""), '9: missing key "models"'),
        (
            CARD,
            CARD + CARD.replace("2020-01-01", "2021-01-01"),
            '19: version "2020-01" is that of an earlier rate card',
        ),
        (
            CARD,
            CARD + CARD.replace('"2020-01"', '"2"').replace("00:00:00Z", "02:00:00+02:00"),
            '20: effective_from is that of rate card "2020-01"',
        ),
        # Models.
        (MODEL, MODEL + MODEL, '19: model "track" is priced twice on this rate card'),
        ('model = "track"', 'model = "a/b"', f'14: model must be {IDENTIFIER}, not "a/b"'),
        ('asset_type = "music"', 'asset_type = "text"', f'15: asset_type must be one of {ASSET_TYPES}, not "text"'),
        ('asset_type = "music"\n', "", '13: missing key "asset_type"'),
        ('rule = "per_track"\n', "", '13: missing key "rule"'),
        (
            'rule = "per_track"',
            'rule = "per_song"',
            '16: rule must be one of per_track, per_second, per_image, per_1000_characters, not "per_song"',
        ),
        ("credits = 150\n", "", '13: missing key "credits"'),
        ("credits = 150\n", "credits = 0\n", f"17: credits must be {PRICE}, not 0"),
        ("credits = 150\n", "credits = true\n", f"17: credits must be {PRICE}, not true"),
        ("credits = 150\n", 'credits = "1e3"\n', f'17: credits must be {PRICE}, not "1e3"'),
        ("credits = 150\n", 'credits = "-1"\n', f'17: credits must be {PRICE}, not "-1"'),
        ("credits = 150\n", 'credits = "NaN"\n', f'17: credits must be {PRICE}, not "NaN"'),
        ("credits = 150\n", 'credits = "0.0"\n', f'17: credits must be {PRICE}, not "0.0"'),
        ("credits = 150\n", 'credits = "1000000000.1"\n', f'17: credits must be {PRICE}, not "1000000000.1"'),
        (
            "credits = 150\n",
            'credits = "1.0000000000000000001"\n',
            f'17: credits must be {PRICE}, not "1.0000000000000000001"',
        ),
        ("credits = 150\n", "credits = 0.5\n", f"17: credits must be {PRICE}, not 0.5"),
        (
            "credits = 150\n",
            "credits = 150\nresolutions = {}\n",
            '18: unknown key "resolutions", expected one of: rule, model, asset_type, credits, bands',
        ),
        # The keys of each rule.
        (
            RULE,
            'rule = "per_second"\ncredits = 1\nbands = []\n',
            '18: unknown key "bands", expected one of: rule, model, asset_type, credits',
        ),
        (
            RULE,
            'rule = "per_1000_characters"\ncredits = 1\nresolutions = {}\n',
            '18: unknown key "resolutions", expected one of: rule, model, asset_type, credits',
        ),
        (
            RULE,
            'rule = "per_image"\ncredits = 1\nbands = []\n',
            '18: unknown key "bands", expected one of: rule, model, asset_type, credits, resolutions',
        ),
        (RULE, 'rule = "per_image"\nresolutions = { "1x1" = 1 }\n', '13: missing key "credits"'),
        (
            RULE,
            'rule = "per_image"\ncredits = 1\nresolutions = ["1x1"]\n',
            "18: resolutions must be a table, not an array",
        ),
        (
            RULE,
            'rule = "per_image"\ncredits = 1\n[rate_cards.models.resolutions]\n"1x1" = 1\n"2x2" = "?"\n',
            f'20: 2x2 must be {PRICE}, not "?"',
        ),
        (
            RULE,
            'rule = "per_image"\ncredits = 1\nresolutions = { "1 x 1" = 1 }\n',
            '18: each key of resolutions must be 1 to 64 characters without spaces, not "1 x 1"',
        ),
        (
            RULE,
            RULE + "bands = []\n",
            "18: bands must be an array of at least one table, not an empty array",
        ),
        (
            RULE,
            RULE + "bands = [\n  { up_to_seconds = 60, credits = 1 },\n  { up_to_seconds = 60, credits = 2 },\n]\n",
            "20: up_to_seconds must be above that of the band before, 60",
        ),
        (
            RULE,
            RULE + "bands = [\n  { credits = 1 },\n  { up_to_seconds = 60, credits = 2 },\n]\n",
            "20: no band may follow one without up_to_seconds",
        ),
        (
            RULE,
            RULE + "bands = [\n  { up_to_seconds = 60, credits = 1 },\n  { up_to_seconds = 0, credits = 2 },\n]\n",
            f"20: up_to_seconds must be {PRICE}, not 0",
        ),
        (RULE, RULE + "[[rate_cards.models.bands]]\nup_to_seconds = 60\n", '18: missing key "credits"'),
        (
            RULE,
            RULE + "bands = [{ to = 60, credits = 1 }]\n",
            '18: unknown key "to", expected one of: up_to_seconds, credits',
        ),
    ],
)
def test_a_bad_catalogue_names_the_line_and_the_reason(part: str, instead: str, problem: str) -> None:
    assert SMALLEST.count(part) == 1

    with pytest.raises(CatalogueError) as caught:
        load_catalogue(SMALLEST.replace(part, instead), "etc/catalogue.toml")

    assert str(caught.value) == f"etc/catalogue.toml:{problem}"


def test_a_number_that_python_does_not_read_is_still_a_catalogue_error() -> None:
    with pytest.raises(CatalogueError, match=r"c\.toml:1: not TOML: "):
        load_catalogue(SMALLEST.replace("tier = 1", "tier = 1" + "0" * 5000), "c.toml")


def test_the_error_has_its_parts_as_attributes() -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue("", "c.toml")

    error = caught.value
    assert (error.source, error.line, error.reason) == ("c.toml", 1, 'missing key "plans"')


DEFAULT_LINES = packaged().splitlines(keepends=True)
NOISE = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        ['"', "'''", '"""', "[", "]", "{", "}", "=", ",", ".", "#", "\n", "\r\n", "[[plans]]\n", "1", "[a]\n"]
    ),
)


@given(st.data())
def test_whatever_is_done_to_a_catalogue_it_loads_or_names_a_line_of_it(data: st.DataObject) -> None:
    lines = list(DEFAULT_LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        column = data.draw(st.integers(0, len(lines[number])))
        cut = data.draw(st.integers(0, 5))
        lines[number] = lines[number][:column] + data.draw(NOISE) + lines[number][column + cut :]
    text = "".join(lines)

    match loaded(text):
        case CatalogueError(line=line):
            assert 1 <= line <= text.count("\n") + 1
        case catalogue:
            assert catalogue.plans


def loaded(text: str) -> Catalogue | CatalogueError:
    try:
        return load_catalogue(text, "c.toml")
    except CatalogueError as error:
        return error
