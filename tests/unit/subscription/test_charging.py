"""Charging: the price of a generation, the plan's asset types, the balance after it, and no charge twice."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from services.catalogue import Price, Settings, UpgradePolicy
from services.subscription.commands import ChargeGeneration
from services.subscription.decide import decide
from services.subscription.events import GenerationCharged
from services.subscription.refusals import InsufficientCredits, InvalidSettingsRefused, NotInPlan
from tests.unit.subscription.catalogues import odd_catalogue, packaged_catalogue
from tests.unit.subscription.scenario import instant, play


def test_r1_one_pool_pays_for_every_asset_type() -> None:
    play("""
        2024-01-31 | start ai-starter-16500-monthly | balance 16,500
                   | charge 6,000 voiceover         | balance 10,500
                   | charge 5,000 image             | balance 5,500
                   | charge 3,000 video             | balance 2,500
                   | charge 2,500 music             | balance 0  used 16,500  of 16,500
    """)


def test_r2_a_generation_is_charged_by_its_model_and_settings() -> None:
    catalogue = packaged_catalogue()
    play(
        """
        2024-01-31 | start ai-suite-40000-monthly                    | balance 40,000
                   | generate lyria-3                                | balance 39,850
                   | generate lyria-3-pro                            | balance 39,550
                   | generate lyria-3 count=3 duration_seconds=95.5  | balance 39,100
                   | generate example-image-1 resolution=2048x2048   | balance 39,040
                   | generate example-video-1 duration_seconds=2.5   | balance 39,008
                   | generate example-voice-1 characters=1           | balance 39,007
        """,
        catalogue,
    )


def test_r2_the_card_in_force_at_the_instant_of_the_charge_prices_it() -> None:
    play("""
        2025-01-01                 | start ai-suite-40000-monthly                | balance 40,000
        2025-01-15 11:59:59.999999 | generate lyria-3                            | balance 39,850
                                   | generate withdrawn                          | balance 39,830
        2025-01-15 12:00           | generate lyria-3                            | balance 39,655
                                   | generate withdrawn                          | refused unknown_model
                                   | generate banded                             | balance 39,535
    """)


def test_what_is_recorded() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-yearly                        | version 2
        2024-03-10 | generate lyria-3-pro duration_seconds=60.0 as song | recorded CycleReset GenerationCharged
    """)

    charged = history.last(GenerationCharged)
    assert charged == GenerationCharged(
        generation_id="song",
        model="lyria-3-pro",
        asset_type="music",
        settings=Settings(duration_seconds=Decimal(60), count=1),
        credits=300,
        price=Price(
            rate_card="first",
            rule="per_track",
            unit="track",
            quantity=Decimal(1),
            credits_per_unit=Decimal(300),
        ),
        balance_after=39_700,
        cycle_number=2,
    )
    assert charged.balance_before == 40_000


@pytest.mark.parametrize("asset_type", ["image", "video", "music"])
def test_r10_credits_pay_only_for_what_the_plan_includes(asset_type: str) -> None:
    history = play(f"""
        2024-01-31 | start ai-starter-7500-monthly | balance 7,500
                   | charge 100 voiceover          | balance 7,400
                   | charge 100 {asset_type}       | refused not_in_plan  balance 7,400
    """)

    refusal = history.apply(
        ChargeGeneration("again", asset_type, Settings(characters=1)), instant("2024-01-31")
    ).refusal
    assert isinstance(refusal, NotInPlan)
    assert (refusal.asset_type, refusal.plan_id) == (asset_type, "ai-starter-7500-monthly")
    assert "ai-starter-16500-monthly" in refusal.upgrade_options
    assert "ai-starter-7500-yearly" not in refusal.upgrade_options
    assert ("odd-fresh-yearly" in refusal.upgrade_options) == (asset_type == "music")


def test_r10_not_in_plan_comes_before_too_few_credits() -> None:
    play("""
        2024-01-31 | start ai-starter-7500-monthly | balance 7,500
                   | charge 7,501 image            | refused not_in_plan
                   | charge 7,501 voiceover        | refused insufficient_credits
    """)


def test_r11_the_last_credit_can_be_spent_and_not_one_more() -> None:
    play("""
        2024-01-31 | start odd-single-monthly | balance 1
                   | charge 2 image           | refused insufficient_credits  balance 1  version 2
                   | charge 1 image           | balance 0  version 3
                   | charge 1 image           | refused insufficient_credits  balance 0  version 3
    """)


def test_r11_the_refusal_names_what_would_help() -> None:
    history = play("""
        2024-01-31 10:00 | start max-pro-40000-monthly | balance 40,000
        2024-02-01       | charge 39,999               | balance 1
    """)

    refusal = history.apply(ChargeGeneration("song", "lyria-3"), instant("2024-02-02")).refusal
    assert refusal == InsufficientCredits(
        required_credits=150,
        balance_credits=1,
        available_credits=1,
        credits_renew_at=instant("2024-02-29 10:00"),
        upgrade_options=(
            "max-pro-240000-monthly",
            "max-pro-240000-yearly",
            "odd-leftover-monthly",
            "odd-fresh-yearly",
            "odd-top-monthly",
        ),
    )


SMALLER = ("odd-smaller-monthly", "odd-smaller-yearly")
LARGER = ("odd-leftover-monthly", "odd-top-monthly")


@pytest.mark.parametrize(
    ("policy", "spent", "cost", "options"),
    [
        ("deduct_used", 39_999, 10_000, (*LARGER,)),
        ("deduct_used", 1, 9_999, (*SMALLER, *LARGER)),
        ("deduct_used", 1, 300_000, ("odd-leftover-monthly", "odd-top-monthly")),
        ("deduct_used", 1, 339_999, ("odd-leftover-monthly", "odd-top-monthly")),
        ("deduct_used", 1, 340_000, ("odd-top-monthly",)),
        ("deduct_used", 1, 499_999, ("odd-top-monthly",)),
        ("deduct_used", 1, 500_000, ()),
        ("fresh", 39_999, 10_000, (*SMALLER, *LARGER)),
        ("add_leftover", 39_000, 11_000, (*SMALLER, *LARGER)),
        ("add_leftover", 39_000, 11_001, (*LARGER,)),
    ],
)
def test_upgrade_options_are_the_plans_after_whose_upgrade_it_could_be_paid(
    policy: UpgradePolicy, spent: int, cost: int, options: tuple[str, ...]
) -> None:
    """Both refusals name them; here `odd-fresh-yearly`, whose tier is as high, has music only."""
    catalogue = odd_catalogue(policy)
    history = play(
        f"2024-01-31 | start max-pro-40000-monthly | balance 40,000\n | charge {spent} | used {spent:,}", catalogue
    )
    command = ChargeGeneration("more", "image", Settings(characters=cost))

    assert history.state is not None
    if cost > history.state.balance_credits:
        too_few = history.apply(command, instant("2024-02-02")).refusal
        assert isinstance(too_few, InsufficientCredits)
        assert _without_packaged(too_few.upgrade_options) == options
    music_only = replace(history.state, plan=replace(history.state.plan, asset_types=("music",)))
    not_in_plan = decide(music_only, command, instant("2024-02-02"), catalogue)
    assert isinstance(not_in_plan, NotInPlan)
    assert _without_packaged(not_in_plan.upgrade_options) == options


def _without_packaged(plan_ids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(plan_id for plan_id in plan_ids if plan_id.startswith("odd-"))


@pytest.mark.parametrize(
    "way_out",
    [
        "2024-02-20       | upgrade ai-suite-40000-monthly | balance 23,500",
        "2024-02-29 10:00 |                                | balance 16,500",
    ],
    ids=["a higher plan", "the next cycle"],
)
def test_r11_a_higher_plan_or_the_next_cycle_allows_more(way_out: str) -> None:
    play(f"""
        2024-01-31 10:00 | start ai-starter-16500-monthly | balance 16,500
                         | charge 16,500                  | balance 0
        2024-02-20       | charge 1 as more               | refused insufficient_credits
        {way_out}
                         | charge 1 as more               | answered done
    """)


def test_a_charge_at_exactly_the_end_of_a_cycle_belongs_to_the_next() -> None:
    play("""
        2024-01-31 10:00           | start ai-suite-40000-monthly | balance 40,000
        2024-02-29 09:59:59.999999 | charge 40,000                | cycle 1  balance 0
        2024-02-29 10:00           | charge 40,000                | cycle 2  balance 0  renews 2024-03-31 10:00
    """)


def test_a_refused_charge_leaves_only_what_time_had_made_due() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly | version 2
        2024-04-01 | charge 40,001 as big         | refused insufficient_credits  version 6
                   | charge 39,999 as big         | balance 1  version 7
    """)

    assert [type(event).__name__ for _, event in history.recorded[2:6]] == ["CycleReset", "TermRenewed"] * 2


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("generate no-such-model", "unknown_model"),
        ("generate music", "invalid_settings"),
        ("generate music characters=0", "invalid_settings"),
        ("generate music characters=5 count=1", "invalid_settings"),
        ("generate banded duration_seconds=180.000001", "invalid_settings"),
        ("generate withdrawn resolution=1x1", "invalid_settings"),
    ],
)
def test_what_cannot_be_priced_is_refused(command: str, code: str) -> None:
    play(f"""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | {command}                      | refused {code}  balance 40,000  version 2
    """)


def test_invalid_settings_read_as_a_sentence() -> None:
    history = play("2024-01-31 | start ai-suite-40000-monthly | balance 40,000")

    refusal = history.apply(ChargeGeneration("voice", "music"), instant("2024-01-31")).refusal
    assert isinstance(refusal, InvalidSettingsRefused)
    assert refusal.detail == "characters is required for music"


def test_a_generation_is_charged_once_for_ever() -> None:
    play("""
        2024-01-31 | start ai-suite-40000-monthly | balance 40,000
                   | charge 1,000 as song         | balance 39,000
                   | charge 1,000 as song         | answered replayed  balance 39,000
        2034-01-31 | charge 1,000 as song         | answered replayed  balance 40,000
                   | charge 1,001 as song         | refused generation_id_conflict
    """)


def test_a_refusal_does_not_burn_the_id() -> None:
    play("""
        2024-01-31 | start ai-starter-16500-monthly | balance 16,500
                   | charge 20,000 as film          | refused insufficient_credits
                   | upgrade ai-suite-40000-monthly | balance 40,000
                   | charge 30,000 video as film    | balance 10,000
    """)


TRACK = Settings(duration_seconds=Decimal(60))


@pytest.mark.parametrize(
    ("again", "code"),
    [
        (ChargeGeneration("song", "lyria-3", TRACK), "replayed"),
        (ChargeGeneration("song", "lyria-3", Settings(duration_seconds=Decimal("60.000"), count=1)), "replayed"),
        (
            ChargeGeneration("song", "lyria-3", Settings(duration_seconds=Decimal(60), count=2)),
            "generation_id_conflict",
        ),
        (ChargeGeneration("song", "lyria-3", Settings(duration_seconds=Decimal(61))), "generation_id_conflict"),
        (ChargeGeneration("song", "lyria-3"), "generation_id_conflict"),
        (ChargeGeneration("song", "lyria-3-pro", TRACK), "generation_id_conflict"),
        (ChargeGeneration("song", "lyria-3", Settings(resolution="1x1")), "generation_id_conflict"),
        (ChargeGeneration("song", "no-such-model", TRACK), "generation_id_conflict"),
    ],
    ids=["same", "written otherwise", "count", "duration", "no duration", "model", "strange setting", "strange model"],
)
def test_the_same_request_is_the_same_however_it_is_written(again: ChargeGeneration, code: str) -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly                | balance 40,000
                   | generate lyria-3 duration_seconds=60 as song | balance 39,850
    """)

    assert history.apply(again, instant("2024-01-31") + timedelta(days=400)).code == code


def test_a_charge_is_asked_again_from_its_stored_form() -> None:
    history = play("""
        2024-01-31 | start ai-suite-40000-monthly                            | balance 40,000
                   | generate withdrawn count=2 resolution=2048x2048 as pair | balance 39,880
    """)
    stored = msgspec.json.Encoder(decimal_format="number").encode(history.charges["pair"])
    history.charges["pair"] = msgspec.json.decode(stored, type=GenerationCharged)

    def again(settings: Settings) -> str:
        return history.apply(ChargeGeneration("pair", "withdrawn", settings), instant("2025-02-01")).code

    assert again(Settings(count=2, resolution="2048x2048")) == "replayed"
    assert again(Settings(count=2)) == "generation_id_conflict"
