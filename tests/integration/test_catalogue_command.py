"""`tallystick catalogue`: a catalogue is checked, and compared with the one in use and the subscriptions on it."""

import json
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from services.bootstrap.ledger import stored_catalogue_of
from services.catalogue.packaged import packaged
from services.config import Settings
from services.ledger.ledger import Ledger
from services.subscription.commands import CancelSubscription, ChargeGeneration, StartSubscription
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.test_rate_cards import ID, NEXT
from tests.integration.time.fleet import BY
from tests.processes import tallystick

PLAN = "max-pro-240000-monthly"


def written(folder: Path, text: str) -> Path:
    """Write a catalogue to a file."""
    file = folder / "new.toml"
    file.write_text(text, encoding="utf-8")
    return file


def live(database_url: str, clock: SettableClock) -> None:
    """Start two subscriptions on a plan, one of which has charged and one of which has ended."""
    settings = Settings(database_url=SecretStr(database_url))
    with Ledger(database_url, SCHEMA, stored_catalogue_of(settings, database_url), clock=clock) as ledger:
        for id in (ID, UUID(int=8)):
            ledger.execute(id, StartSubscription("account", PLAN), BY)
        ledger.execute(ID, ChargeGeneration("track", "lyria-3"), BY)
        ledger.execute(UUID(int=8), CancelSubscription("now"), BY)


def test_a_good_catalogue_and_one_with_a_fault(tmp_path: Path) -> None:
    good = tallystick("catalogue", "check", written(tmp_path, packaged()), folder=tmp_path)
    bad = tallystick("catalogue", "check", written(tmp_path, "upgrade_policy = 5"), folder=tmp_path)
    none = tallystick("catalogue", "check", tmp_path / "nope.toml", folder=tmp_path)

    assert (good.returncode, good.stdout) == (0, "10 plans and 1 rate cards: good.\n")
    assert (bad.returncode, bad.stderr.startswith(f"{tmp_path / 'new.toml'}:1: ")) == (1, True)
    assert (none.returncode, none.stderr) == (2, f"{tmp_path / 'nope.toml'}: No such file or directory\n")


def test_what_a_catalogue_would_change_and_for_how_many(
    tmp_path: Path, database_url: str, clock: SettableClock
) -> None:
    live(database_url, clock)
    new = written(tmp_path, packaged().replace("monthly_credits = 240000", "monthly_credits = 250000"))

    found = tallystick("catalogue", "diff", new, "--json", folder=tmp_path, database_url=database_url)

    assert found.returncode == 0, found.stderr
    change = {"what": "monthly_credits", "from": 240_000, "to": 250_000}
    assert json.loads(found.stdout) == {
        "plans": [
            {"plan_id": PLAN, "subscriptions": 1, "changes": [change]},
            {"plan_id": "max-pro-240000-yearly", "subscriptions": 0, "changes": [change]},
        ],
        "rate_cards": [],
        "refused": [],
    }


def test_a_catalogue_on_which_the_service_would_not_start(
    tmp_path: Path, database_url: str, clock: SettableClock
) -> None:
    live(database_url, clock)
    new = written(tmp_path, packaged().replace("credits = 150\n", "credits = 151\n"))

    for arguments in ((), ("--json",)):
        found = tallystick("catalogue", "diff", new, *arguments, folder=tmp_path, database_url=database_url)
        assert found.returncode == 1
        told = (found.stdout + found.stderr).replace('\\"', '"')
        assert 'rate card "2020-01" was another one when generations were charged' in told


def test_a_comparison_stores_nothing(tmp_path: Path, database_url: str, clock: SettableClock) -> None:
    live(database_url, clock)

    def shown(text: str) -> str:
        diff = tallystick("catalogue", "diff", written(tmp_path, text), folder=tmp_path, database_url=database_url)
        assert diff.returncode == 0, diff.stderr
        return diff.stdout

    assert "175" in shown(packaged() + NEXT)
    assert shown(packaged()) == "Nothing would change.\n"
    assert "180" in shown(packaged() + NEXT.replace("175", "180"))
