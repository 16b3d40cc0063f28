"""In what a catalogue differs from another: plans by key, rate cards by model."""

from collections.abc import Mapping

from services.catalogue import load_catalogue
from services.catalogue.difference import Change, plan_changes, rate_card_changes
from services.catalogue.packaged import packaged

PRESENT = packaged()
NEXT = """
[[rate_cards]]
version = "next"
effective_from = 2026-07-01T00:00:00Z
models = [{ model = "lyria-3", asset_type = "music", rule = "per_track", credits = 175 }]
"""


def plans(new: str, subscriptions: Mapping[str, int] | None = None) -> list[tuple[str, int, list[Change]]]:
    """What becomes of the plans: id, subscriptions, changes."""
    found = plan_changes(load_catalogue(PRESENT, "present"), load_catalogue(new, "new"), subscriptions or {})
    return [(each.plan_id, each.subscriptions, each.changes) for each in found]


def cards(new: str, present: str = PRESENT) -> dict[str, dict[str, object]]:
    """What becomes of the rate cards: what their changes lead to, by version."""
    found = rate_card_changes(load_catalogue(present, "present"), load_catalogue(new, "new"))
    return {each.version: {change.what: change.after for change in each.changes} for each in found}


def test_the_same_catalogue_changes_nothing() -> None:
    assert plans(PRESENT) == []
    assert cards(PRESENT) == {}


def test_each_key_of_a_plan_that_changes_is_named() -> None:
    terms, others = "tier = 3\nmonthly_credits = 40000", 'tier = 3\nupgrade_policy = "fresh"\nmonthly_credits = 50000'
    new = PRESENT.replace(terms, others)

    assert plans(new, {"ai-suite-40000-yearly": 12}) == [
        (id, count, [Change("monthly_credits", 40_000, 50_000), Change("upgrade_policy", "deduct_used", "fresh")])
        for id, count in (("ai-suite-40000-monthly", 0), ("ai-suite-40000-yearly", 12))
    ]


def test_the_policy_of_the_catalogue_is_that_of_each_plan_without_its_own() -> None:
    changed = plans(PRESENT.replace('upgrade_policy = "deduct_used"', 'upgrade_policy = "add_leftover"'))

    assert len(changed) == 10
    assert {change for _, _, (change,) in changed} == {Change("upgrade_policy", "deduct_used", "add_leftover")}


def test_a_plan_that_comes_or_goes_is_told_as_a_whole() -> None:
    new = PRESENT.replace('id = "max-pro-40000-yearly"', 'id = "max-pro-41000-yearly"')

    (gone, subscriptions, (went,)), (came, none, (arrived,)) = plans(new, {"max-pro-40000-yearly": 3})

    assert (gone, subscriptions, went.what, went.after) == ("max-pro-40000-yearly", 3, "plan", None)
    assert (came, none, arrived.what, arrived.before) == ("max-pro-41000-yearly", 0, "plan", None)
    assert arrived.after["monthly_credits"] == 40_000


def test_a_new_rate_card_is_compared_with_the_one_that_it_supersedes() -> None:
    changes = cards(PRESENT + NEXT)["next"]

    assert changes.pop("lyria-3.credits") == "175"
    assert set(changes) > {"lyria-3-pro"}
    assert set(changes.values()) == {None}


def test_a_rate_card_that_changes_or_goes() -> None:
    later = NEXT.replace("2026-07-01", "2026-08-01").replace("175", "180")

    assert set(cards(PRESENT + later, PRESENT + NEXT)["next"]) == {"effective_from", "lyria-3.credits"}
    assert cards(PRESENT, PRESENT + NEXT)["next"] == {"rate_card": None}
