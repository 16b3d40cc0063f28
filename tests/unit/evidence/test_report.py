"""The page for people: it explains the charge, and loads nothing from elsewhere."""

import re
from decimal import Decimal
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from services.catalogue import Price
from services.evidence.case import Case, facts_of
from services.evidence.report import arithmetic, report_page
from tests.unit.evidence.cases import HISTORY, KEY, MADE_AT, disputed, disputed_in
from tests.unit.evidence.holds import captured, captured_late
from tests.unit.evidence.memory_log import ORIGIN
from tests.unit.subscription.scenario import play


def page(case: Case) -> str:
    return report_page(case, facts_of(case.subscription, case.dispute), made_at=MADE_AT)


def text(case: Case) -> str:
    """Extract the text that a reader sees."""
    return re.sub(r"\s+", " ", re.sub(r"<(style|svg).*?</\1>|<[^>]*>", " ", page(case), flags=re.DOTALL))


def price(quantity: str, per_unit: str, unit: str = "track") -> Price:
    return Price(
        rate_card="1", rule="per_track", unit=unit, quantity=Decimal(quantity), credits_per_unit=Decimal(per_unit)
    )


@pytest.mark.parametrize(
    ("price_", "charged_credits", "sum_"),
    [
        (price("1", "150"), 150, "1 track × 150 credits = 150 credits"),
        (price("2", "150"), 300, "2 tracks × 150 credits = 300 credits"),
        (price("61.5", "0.5", "second"), 31, "61.5 seconds × 0.5 credits = 30.75, rounded up to 31 credits"),
        (price("1.2", "30", "1000_characters"), 36, "1.2 thousand characters × 30 credits = 36 credits"),
        (
            price("0.001", "1", "1000_characters"),
            1,
            "0.001 thousand characters × 1 credit = 0.001, rounded up to 1 credit",
        ),
        (price("1000", "12345.6"), 12_345_600, "1,000 tracks × 12,345.6 credits = 12,345,600 credits"),
    ],
)
def test_the_price_is_a_sum_that_can_be_followed(price_: Price, charged_credits: int, sum_: str) -> None:
    assert arithmetic(price_, charged_credits) == sum_


def test_it_says_what_was_charged_and_what_came_of_it() -> None:
    shown = text(disputed())

    for sentence in (
        "A charge of 300 credits, disputed",
        "The dispute was upheld. 300 credits were given back.",
        "music, made with lyria-3",
        "2 tracks × 150 credits = 300 credits",
        "31,000 credits before &minus; 300 = 30,700 credits after",
        "5 February 2024, 12:34:00 UTC",
        "The same was charged before.",
        "The same track was charged twice.",
        "9,000 credits for image with image (picture); 31,000 left.",
        "300 credits were given back for track; 27,000 left.",
        f"the checkpoint of size 108 of the log {ORIGIN}",
        str(KEY.key),
    ):
        assert sentence in shown


def test_it_says_which_part_was_given_back() -> None:
    partly = text(disputed_in(play(HISTORY), returned_credits=100))

    assert "The dispute was upheld. 100 credits were given back, of 300 that were charged." in partly
    assert "Given back 100 credits, to be used before the next reset" in partly


def test_it_says_what_was_held() -> None:
    in_time, late = text(disputed_in(captured())), text(disputed_in(captured_late(), "late"))

    assert "Held before 300 credits" in in_time
    assert "40,000 credits before &minus; 150 = 39,850 credits after" in in_time
    assert "300 credits had been held in cycle 1, which had ended: the balance stayed 40,000" in late


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (disputed(outcome="rejected"), "The dispute was rejected. The charge stands."),
        (disputed(outcome=None), "The dispute is open: it has not been decided yet."),
        (disputed(reason="unsatisfied", outcome=None), "R14: an unsatisfying result is no ground for a refund."),
    ],
)
def test_it_says_where_the_dispute_stands(case: Case, sentence: str) -> None:
    assert sentence in text(case)


def test_what_others_wrote_is_text() -> None:
    shown = page(disputed(note='<script>alert("x")</script> & <img src=https://elsewhere.example>'))

    assert "&lt;script&gt;" in shown
    assert "<script" not in shown
    assert "<img" not in shown


def test_it_is_whole_and_brings_nothing_from_elsewhere() -> None:
    shown = page(disputed())
    balance = {"open": 0}

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            balance["open"] += tag not in {"meta", "br"}
            assert not {name for name, _ in attrs} & {"src", "href", "onload", "onclick"}

        def handle_endtag(self, tag: str) -> None:
            balance["open"] -= 1

    Tags().feed(shown.replace("/>", "></closed>"))
    assert balance == {"open": 0}
    assert "http://" not in shown
    assert "https://" not in shown
    assert "$" not in shown


def test_the_chart_shows_the_balance_of_the_cycle_step_by_step() -> None:
    drawn = ElementTree.fromstring(re.findall(r"<svg.*</svg>", page(disputed()), re.DOTALL)[0])

    (path,) = (each for each in drawn.iter("path"))
    levels = [float(level) for level in re.findall(r"V([\d.]+)", path.attrib["d"])]
    assert len(levels) == 4  # three charges, and what was given back
    assert levels[:3] == sorted(levels[:3]), "every charge leaves less, and further down is less"
    assert levels[3] < levels[2]
    words = {each.text for each in drawn.iter("text")}
    assert {"this charge", "given back", "40,000", "31 Jan 2024", "29 Feb 2024"} <= words


def test_a_chart_of_many_charges_stays_small() -> None:
    charges = "\n".join(f"| charge 1 image as picture-{number} |" for number in range(3_000))
    table = f"2024-01-31 10:00 | start ai-suite-40000-monthly |\n{charges}\n| generate lyria-3 as track |"

    assert len(page(disputed(table))) < 20_000
