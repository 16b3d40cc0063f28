"""A what-if over all subscriptions: the sum of single ones, and the same bytes however it was cut short."""

import csv
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from services.catalogue import Catalogue
from services.catalogue.packaged import PACKAGED_SOURCE, packaged
from services.demo import Demo, DemoSize
from services.fleet.changes import CatalogueText, FleetChanges, Generations
from services.fleet.run_file import NotARun, RunFile
from services.fleet.running import FleetRun, RunSummary
from services.ledger.as_of import AsOf
from services.ledger.ledger import utc_now
from services.ledger.what_if import WhatIf
from services.postgres.database import connect
from services.process.progress import report_nothing
from services.subscription.what_if import Changes
from tests.conftest import SCHEMA
from tests.integration.ledger.books import Books
from tests.processes import environment, tallystick
from tests.waiting import wait_until

TODAY = CatalogueText(packaged(), PACKAGED_SOURCE)
CHEAPER = FleetChanges(reprice={"lyria-3": Decimal(75), "example-video-1": Decimal("3.5")})


@dataclass
class Fleet:
    """A made-up ledger, and runs over it."""

    database_url: str
    folder: Path

    def run(self, changes: FleetChanges, name: str = "run.ndjson", report: Any = report_nothing) -> RunSummary:
        """Write a run to a file of that name."""
        return self._fleet_run(report).write(changes, self.folder / name, resume=False)

    def resume(self, changes: FleetChanges, name: str = "run.ndjson") -> RunSummary:
        """Go on with it."""
        return self._fleet_run(report_nothing).write(changes, self.folder / name, resume=True)

    def lines(self, name: str = "run.ndjson") -> list[dict[str, Any]]:
        """The lines of the subscriptions."""
        return [json.loads(line) for line in (self.folder / name).read_bytes().splitlines()[1:-1]]

    def _fleet_run(self, report: Any) -> FleetRun:
        return FleetRun(self.database_url, SCHEMA, TODAY, report)


@pytest.fixture
def fleet(database_url: str, catalogue: Catalogue, tmp_path: Path) -> Fleet:
    """60 subscriptions with 9,000 events."""
    with connect(database_url) as connection:
        Demo(SCHEMA, catalogue, seed=11).fill(connection, DemoSize(60, 9_000, utc_now()), lambda _done: None)
    return Fleet(database_url, tmp_path)


def test_without_a_change_nobody_has_a_difference(fleet: Fleet) -> None:
    summary = fleet.run(FleetChanges())

    assert (summary.subscriptions, summary.lines, summary.difference_credits) == (60, 0, 0)
    assert summary.events == summary.position >= 9_000
    assert fleet.lines() == []


@pytest.mark.parametrize(
    ("changes", "single"),
    [
        (CHEAPER, Changes(reprice=CHEAPER.reprice)),
        (FleetChanges(upgrade_policy="fresh"), Changes(upgrade_policy="fresh")),
        (FleetChanges(upgrade_policy="add_leftover"), Changes(upgrade_policy="add_leftover")),
    ],
)
def test_it_is_the_sum_of_single_what_ifs(
    fleet: Fleet, catalogue: Catalogue, changes: FleetChanges, single: Changes
) -> None:
    fleet.run(changes)

    found = {UUID(line["subscription_id"]): line for line in fleet.lines()}
    as_of = AsOf(SCHEMA, utc_now)
    with connect(fleet.database_url, autocommit=True) as connection:
        for id in {each.originator_id for each in Books(fleet.database_url).events()}:
            until = max(each.stored.recorded_at for each in Books(fleet.database_url).stream(id))
            answer = WhatIf(as_of, SCHEMA, catalogue).replay(connection, id, single, until)
            assert answer is not None
            difference = answer.replayed.balance_credits - answer.actual.balance_credits
            if not answer.differences:
                assert id not in found
                continue
            line = found.pop(id)
            assert line["difference_credits"] == difference
            assert [each["version"] for each in line["differences"]] == [each.version for each in answer.differences]
    assert found == {}


def test_generations_are_left_out_by_name_or_of_one_subscription(fleet: Fleet) -> None:
    first, *rest = Books(fleet.database_url).rows("charges")
    other = next(each for each in rest if each["subscription_id"] != first["subscription_id"])
    without = Generations(
        frozenset([first["generation_id"]]), {other["subscription_id"]: frozenset([other["generation_id"]])}
    )

    fleet.run(FleetChanges(without=without))

    left_out = {
        (UUID(line["subscription_id"]), each["generation_id"])
        for line in fleet.lines()
        for each in line["differences"]
        if each["actual"]["outcome"] == "charged" and each["replayed"] is None
    }
    assert left_out == {(each["subscription_id"], each["generation_id"]) for each in (first, other)}


def test_the_same_run_gives_the_same_bytes_and_a_plan_has_its_part_of_them(fleet: Fleet) -> None:
    fleet.run(CHEAPER)
    fleet.run(CHEAPER, "again.ndjson")

    assert (fleet.folder / "run.ndjson").read_bytes() == (fleet.folder / "again.ndjson").read_bytes()
    plans = {row["subscription_id"]: row["plan_id"] for row in Books(fleet.database_url).rows("balance")}
    plan_id = Random(1).choice(sorted(set(plans.values())))
    fleet.run(FleetChanges(reprice=CHEAPER.reprice, plan_id=plan_id), "plan.ndjson")
    of_plan = [line for line in fleet.lines() if plans[UUID(line["subscription_id"])] == plan_id]
    assert fleet.lines("plan.ndjson") == of_plan


def test_a_run_that_was_cut_short_goes_on_and_gives_the_same_bytes(fleet: Fleet) -> None:
    fleet.run(CHEAPER, "whole.ndjson")
    for ranges in (1, 2, 3):
        name = f"cut-{ranges}.ndjson"

        def cut(_stage: str, _done: int, _total: int, left: list[None] = [None] * ranges) -> None:
            if not left:
                raise KeyboardInterrupt
            left.pop()

        with pytest.raises(KeyboardInterrupt):
            fleet.run(CHEAPER, name, cut)
        with (fleet.folder / f"{name}.unfinished").open("ab") as opened:
            opened.write(b'{"kind":"subscription","half of a li')

        resumed = fleet.resume(CHEAPER, name)

        assert 0 < resumed.subscriptions < 60
        assert (fleet.folder / name).read_bytes() == (fleet.folder / "whole.ndjson").read_bytes()
        assert not list(fleet.folder.glob("*.unfinished*"))


def test_a_run_whose_process_is_killed_goes_on(fleet: Fleet) -> None:
    fleet.run(CHEAPER, "whole.ndjson")
    arguments = ["--reprice", "lyria-3=75", "--reprice", "example-video-1=3.5", "--out", "killed.ndjson"]
    command = [sys.executable, "-m", "services.cli", "what-if", "--all", *arguments]
    mark = fleet.folder / "killed.ndjson.unfinished.mark"

    with subprocess.Popen(
        command, cwd=fleet.folder, env=environment(fleet.folder, database_url=fleet.database_url), stderr=-1, stdout=-1
    ) as process:
        wait_until(mark.exists)
        process.send_signal(signal.SIGKILL)
    assert not (fleet.folder / "killed.ndjson").exists()
    again = tallystick("what-if", "--all", *arguments, "--resume", folder=fleet.folder, database_url=fleet.database_url)

    assert again.returncode == 0, again.stderr
    assert (fleet.folder / "killed.ndjson").read_bytes() == (fleet.folder / "whole.ndjson").read_bytes()


def test_what_is_gone_on_with_must_be_the_same_run(fleet: Fleet) -> None:
    def cut(_stage: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fleet.run(CHEAPER, report=cut)

    other = tallystick(
        *("what-if", "--all", "--reprice", "lyria-3=74", "--out", "run.ndjson", "--resume"),
        folder=fleet.folder,
        database_url=fleet.database_url,
    )
    assert (other.returncode, other.stderr) == (2, "the run to go on with is of other changes\n")


def test_any_altered_byte_is_found(fleet: Fleet) -> None:
    fleet.run(CHEAPER)
    file = fleet.folder / "run.ndjson"
    whole = file.read_bytes()
    end = whole.rindex(b"\n", 0, -1)
    random = Random(3)
    places = [*range(300), *random.sample(range(len(whole)), 40), *range(end, len(whole))]

    for place in places:
        altered = bytes([whole[place] ^ (1 << random.randrange(8))])
        file.write_bytes(whole[:place] + altered + whole[place + 1 :])
        with pytest.raises(NotARun):
            RunFile(file)
    for cut in (0, 1, len(whole) // 2, end, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(NotARun):
            RunFile(file)


@pytest.mark.parametrize("form", ["csv", "html"])
def test_a_run_as_a_table_and_as_a_page(fleet: Fleet, form: str) -> None:
    fleet.run(CHEAPER)
    out = fleet.folder / f"run.{form}"

    asked = tallystick(
        *("what-if", "--all", "--reprice", "lyria-3=75", "--reprice", "example-video-1=3.5", "--out", out),
        folder=fleet.folder,
        database_url=fleet.database_url,
    )

    assert asked.returncode == 0, asked.stderr
    lines = fleet.lines()
    assert f"{len(lines):,} subscriptions with a difference" in asked.stdout
    text = out.read_text()
    if form == "csv":
        rows = list(csv.DictReader(text.splitlines()))
        assert [row["subscription_id"] for row in rows] == [line["subscription_id"] for line in lines]
        assert [int(row["difference_credits"]) for row in rows] == [line["difference_credits"] for line in lines]
    else:
        for line in lines:
            assert f"<td>{line['subscription_id']}</td><td>{line['difference_credits']:+,}</td>" in text
    assert {each.name for each in fleet.folder.iterdir()} >= {"run.ndjson", f"run.{form}"}
    assert not [*fleet.folder.glob("*.unfinished*"), *fleet.folder.glob(f"*.{form}.ndjson")]


WRONG: list[tuple[list[str], str]] = [
    ([], "Say --all, or name a --plan."),
    (["--all", "--reprice", "lyria-3"], "--reprice lyria-3: expected MODEL=CREDITS, with credits above 0."),
    (["--all", "--reprice", "lyria-3=-1"], "--reprice lyria-3=-1: expected MODEL=CREDITS, with credits above 0."),
    (["--all", "--reprice", "nothing=1"], "--reprice: no rate card and no charge has nothing"),
    (["--plan", "nothing"], "--plan: no catalogue and no subscription has nothing"),
    (["--all", "--without", "bad.txt"], "--without: bad.txt:2: expected GENERATION, or SUBSCRIPTION GENERATION"),
    (["--all", "--without", "unknown.txt"], "--without: neither charged nor refused was nobody-made-this"),
    (["--all", "--without", "none.txt"], "--without none.txt: No such file or directory"),
    (["--all", "--catalogue", "bad.txt"], "bad.txt:1: "),
]


def test_what_is_not_known_is_named(fleet: Fleet) -> None:
    (fleet.folder / "bad.txt").write_text("track-1\ntwo words here\n")
    (fleet.folder / "unknown.txt").write_text("nobody-made-this\n")

    for options, told in WRONG:
        asked = tallystick(
            "what-if", *options, "--out", "run.ndjson", folder=fleet.folder, database_url=fleet.database_url
        )
        assert (asked.returncode, asked.stderr[: len(told)]) == (2, told), options
        assert not (fleet.folder / "run.ndjson").exists()
