"""The inline read models equal the folded events, after concurrent commands in any order."""

from functools import partial
from random import Random
from uuid import UUID

import psycopg
from msgspec.structs import replace

from projections.rebuilding.rebuild import Rebuild
from services.catalogue import Settings
from services.dispute.commands import OpenDispute, ResolveDispute
from services.integrity.verify.trust import Trust
from services.integrity.verify.verification import Verification
from services.ledger.ledger import Ledger
from services.ledger.mapper import decode_event
from services.ledger.submission import Charged, Disputed
from services.subscription.commands import (
    CancelSubscription,
    ChangeAlerts,
    ChargeGeneration,
    Command,
    RecordDue,
    ResumeSubscription,
    ReverseCharge,
    ScheduleDowngrade,
    UpgradePlan,
)
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, charge, concurrently, start, track
from tests.unit.subscription.catalogues import odd_catalogue

PLANS = ("ai-starter-7500-monthly", "ai-starter-16500-monthly", "ai-suite-40000-yearly", "max-pro-240000-monthly")


def any_command(random: Random, number: int) -> Command:
    """A charge, most of the time."""
    plan_id = random.choice(PLANS)
    commands: dict[Command, int] = {
        track(f"track-{number % 300}"): 80,
        UpgradePlan(plan_id): 4,
        ScheduleDowngrade(plan_id): 4,
        CancelSubscription("term_end"): 4,
        CancelSubscription("now"): 1,
        ResumeSubscription(): 4,
        ChangeAlerts(("0.50",)): 2,
        ChangeAlerts(None): 2,
        RecordDue(): 4,
    }
    (chosen,) = random.choices(list(commands), weights=list(commands.values()))
    return chosen


def test_after_random_commands_of_many_clients_to_two_processes(
    ledger: Ledger, other: Ledger, books: Books, clock: SettableClock
) -> None:
    random = Random(17)
    ids = [start(ledger, plan_id) for plan_id in PLANS * 6]
    for _ in range(8):
        commands = [
            partial(random.choice((ledger, other)).execute, random.choice(ids), any_command(random, number), BY)
            for number in range(150)
        ]
        answers = concurrently(commands)
        assert "Failed" not in tally(answers)
        clock.advance(days=random.choice((0, 3, 17)))
    books.check()
    statuses = {status for (status,) in books.query("SELECT DISTINCT status FROM {}.balance")}
    assert statuses == {"active", "cancelling", "ended"}, "the history has something of everything"


def test_a_reversed_charge_is_marked_with_the_version_of_its_reversal(ledger: Ledger, books: Books) -> None:
    id = start(ledger)
    charged = charge(ledger, id, "track-1").charge
    charge(ledger, id, "track-2")

    ledger.execute(id, _reversal(charge(ledger, id, "track-1")), BY)

    assert books.query("SELECT generation_id, version, reversed_in_version FROM {}.charges ORDER BY 1") == [
        ("track-1", 3, 5),
        ("track-2", 4, None),
    ]
    replayed = charge(ledger, id, "track-1").charge
    assert (charged.status, replayed.status) == ("charged", "reversed")
    assert charge(ledger, id, "track-3").charge.balance_before == 16_500 - 150
    books.check()


def test_what_a_reversal_deducts_for_an_earlier_upgrade_is_in_every_read_model(
    database_url: str, books: Books, clock: SettableClock
) -> None:
    """The upgrade to fewer credits cannot deduct 22,000 of what was used; 8,000 of the film's 30,000 come back."""
    with Ledger(database_url, SCHEMA, odd_catalogue(), clock=clock) as ledger:
        id = start(ledger, "max-pro-240000-monthly")
        film = ChargeGeneration("film", "music", Settings(characters=30_000))
        ledger.execute(id, film, BY)
        ledger.execute(id, replace(film, generation_id="song", settings=Settings(characters=2_000)), BY)
        ledger.execute(id, UpgradePlan("odd-smaller-monthly"), BY)

        _give_back(ledger, id, "film")
        books.check()
        assert books.query("SELECT used_credits, reversed_credits FROM {}.balance") == [(32_000, 30_000)]
        charge(ledger, id, "track")
        books.check()

    assert Rebuild(database_url, SCHEMA, [], decode_event).run().differences == ()
    assert Verification(SCHEMA, Trust()).run(database_url, processes=1).findings == ()


def test_a_part_that_is_given_back_is_in_every_read_model_and_no_other_amount(
    ledger: Ledger, database_url: str
) -> None:
    id = start(ledger)
    charge(ledger, id, "film")
    dispute_id = UUID(int=1)
    ledger.execute(id, OpenDispute(dispute_id, "film", "other", "?"), BY)
    ledger.execute(id, ResolveDispute(dispute_id, "film", "upheld", "!", "current_cycle", 100), BY)
    assert Verification(SCHEMA, Trust()).run(database_url, processes=1).findings == ()

    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE tallystick.ledger_events SET state = convert_to(replace(convert_from(state, 'UTF8'),"
            " '\"credits\":100', '\"credits\":101'), 'UTF8') WHERE topic = 'DisputeResolved'"
        )

    told = [each.reason for each in Verification(SCHEMA, Trust()).run(database_url, processes=1).findings]
    assert "gives 100 credits back, and its dispute comes to 101" in told


def _give_back(ledger: Ledger, id: UUID, generation_id: str) -> None:
    """Uphold a dispute about a charge."""
    dispute_id = UUID(int=1)
    ledger.execute(id, OpenDispute(dispute_id, generation_id, "other", "?"), BY)
    upheld = ledger.execute(id, ResolveDispute(dispute_id, generation_id, "upheld", "!", "current_cycle"), BY)
    assert isinstance(upheld, Disputed)


def _reversal(charged: Charged) -> ReverseCharge:
    return ReverseCharge(
        generation_id=charged.charge.generation_id,
        dispute_id=str(UUID(int=1)),
        credit_to="current_cycle",
        credits=charged.charge.credits,
        charged_in_cycle=charged.charge.cycle_number,
    )


def test_a_balance_read_after_an_answer_includes_it(ledger: Ledger, books: Books) -> None:
    id = start(ledger)
    for number in range(20):
        position = charge(ledger, id, f"track-{number}").charge.position
        assert books.query("SELECT used_credits, position FROM {}.balance") == [(150 * (number + 1), position)]
