"""The version of a rate card names its prices for ever, once something was charged under it."""

import re
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from services.bootstrap.ledger import stored_catalogue_of
from services.catalogue import CatalogueError
from services.catalogue.packaged import packaged
from services.config import Settings
from services.ledger.ledger import Ledger
from services.ledger.submission import Charged, Held
from services.subscription.commands import ChargeGeneration, HoldCredits, StartSubscription
from tests.conftest import SCHEMA, SettableClock
from tests.integration.time.fleet import BY
from tests.processes import tallystick

ID = UUID(int=7)
NEXT = """
[[rate_cards]]
version = "next"
effective_from = 2026-07-01T00:00:00Z
models = [{ model = "lyria-3", asset_type = "music", rule = "per_track", credits = 175 }]
"""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """The settings of a ledger whose catalogue is in a file."""
    return Settings(database_url=SecretStr(database_url), catalogue=tmp_path / "catalogue.toml")


def start(settings: Settings, text: str) -> None:
    """Start on a catalogue. Raises CatalogueError."""
    assert settings.catalogue is not None
    assert settings.url is not None
    settings.catalogue.write_text(text, encoding="utf-8")
    stored_catalogue_of(settings, settings.url)


def charge(settings: Settings, clock: SettableClock, generation_id: str = "track", *, is_held: bool = False) -> None:
    """Charge one track, or hold what it costs."""
    assert settings.url is not None
    with Ledger(settings.url, SCHEMA, stored_catalogue_of(settings, settings.url), clock=clock) as ledger:
        ledger.execute(ID, StartSubscription("account", "max-pro-240000-monthly"), BY)
        command = HoldCredits(generation_id, "lyria-3") if is_held else ChargeGeneration(generation_id, "lyria-3")
        assert isinstance(ledger.execute(ID, command, BY), Charged | Held)


@pytest.mark.parametrize(
    "change",
    [
        ("credits = 150", "credits = 151"),
        ('credits = "12.5"', "credits = 12"),
        ("credits = 150", "credits = 150\nbands = [{ credits = 150 }]"),
        ('resolutions = { "2048x2048" = 60 }', ""),
        ('model = "lyria-3-pro"', 'model = "lyria-4"'),
        ("effective_from = 2020-01-01T00:00:00Z", "effective_from = 2020-01-02T00:00:00Z"),
    ],
    ids=["a price", "another model's price", "bands", "a resolution gone", "a model renamed", "when it holds"],
)
def test_a_card_that_was_charged_under_cannot_change(
    settings: Settings, clock: SettableClock, change: tuple[str, str]
) -> None:
    start(settings, packaged())
    charge(settings, clock)
    changed = packaged().replace(*change)
    assert changed != packaged()

    with pytest.raises(CatalogueError) as refused:
        start(settings, changed)

    line = changed.splitlines().index('version = "2020-01"') + 1
    assert (refused.value.source, refused.value.line) == (str(settings.catalogue), line)
    assert refused.value.reason == (
        'rate card "2020-01" was another one when generations were charged under it:'
        " give changed prices a version of their own"
    )
    start(settings, packaged())


def test_a_card_that_was_held_under_cannot_change(settings: Settings, clock: SettableClock) -> None:
    start(settings, packaged())
    charge(settings, clock, is_held=True)

    with pytest.raises(CatalogueError, match='rate card "2020-01" was another one'):
        start(settings, packaged().replace("credits = 150", "credits = 1"))


def test_a_card_under_which_nothing_was_charged_can_change(settings: Settings, clock: SettableClock) -> None:
    start(settings, packaged() + NEXT)
    charge(settings, clock)

    start(settings, packaged() + NEXT.replace("175", "180"))
    start(settings, packaged() + NEXT.replace("2026-07", "2026-08"))
    clock.advance(days=365)
    charge(settings, clock, "another")
    with pytest.raises(CatalogueError, match='rate card "next" was another one'):
        start(settings, packaged() + NEXT)


def test_what_is_written_otherwise_is_no_change(settings: Settings, clock: SettableClock) -> None:
    start(settings, packaged())
    charge(settings, clock)

    models = re.split(r"(?=\[\[rate_cards\.models\]\])", packaged().split("[[rate_cards]]")[1])
    card = "[[rate_cards]]" + models[0] + "".join(reversed(models[1:]))
    plans = packaged().split("[[rate_cards]]")[0]
    start(settings, plans + card.replace("= 150\n", '= "150.00"\n').replace("T00:00:00Z", "T02:00:00+02:00"))


def test_other_plans_and_further_cards_are_no_change(settings: Settings, clock: SettableClock) -> None:
    start(settings, packaged())
    charge(settings, clock)

    start(settings, packaged().replace("tier = 5", "tier = 9").replace("40000\n", "50000\n") + NEXT)


def test_a_card_that_was_left_out_comes_back_as_it_was(settings: Settings, clock: SettableClock) -> None:
    start(settings, packaged())
    charge(settings, clock)
    start(settings, packaged().replace('version = "2020-01"', 'version = "2020-02"'))

    with pytest.raises(CatalogueError, match="give changed prices a version of their own"):
        start(settings, packaged().replace("credits = 150", "credits = 1"))


@pytest.mark.parametrize("command", [["api"], ["serve"], ["demo", "--subscriptions", "1", "--events", "10"]])
def test_it_stops_every_start_that_would_charge(settings: Settings, clock: SettableClock, command: list[str]) -> None:
    start(settings, packaged())
    charge(settings, clock)
    assert settings.catalogue is not None
    settings.catalogue.write_text(packaged().replace("credits = 150", "credits = 15"), encoding="utf-8")

    folder = settings.catalogue.parent
    stopped = tallystick(*command, folder=folder, port=0, database_url=settings.url, catalogue=settings.catalogue)

    assert stopped.returncode == 1
    (line,) = stopped.stderr.strip().splitlines()
    assert 'rate card "2020-01" was another one' in line
