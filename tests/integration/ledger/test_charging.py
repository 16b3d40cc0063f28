"""The write path on a real PostgreSQL: what was answered is stored, once, and explains itself."""

from functools import partial

from services.catalogue import Catalogue
from services.ledger.ledger import Ledger
from services.ledger.submission import Charged, GenerationIdConflict, Refused
from services.subscription.commands import ChargeGeneration, UpgradePlan
from tests.conftest import SCHEMA, SettableClock
from tests.integration.ledger.books import Books, tally
from tests.integration.ledger.lanes import BY, at_once, charge, start, together, track


def test_many_clients_spend_exactly_what_is_there(ledger: Ledger, books: Books) -> None:
    id = start(ledger)
    affordable = 16_500 // 150
    asked = [partial(ledger.execute, id, track(f"track-{number}"), BY) for number in range(affordable + 50)]

    assert tally(at_once(asked, clients=64)) == {"Charged": affordable, "insufficient_credits": 50}

    row = books.ask("SELECT granted_credits, used_credits, version, position FROM {}.balance")
    assert row == [(16_500, 16_500, 2 + affordable, 2 + affordable)]
    books.check()


def test_the_same_charge_at_once_happens_once(ledger: Ledger, books: Books) -> None:
    id = start(ledger)

    answers = at_once([partial(ledger.execute, id, track("track-1"), BY)] * 50, clients=50)

    charged = [answer for answer in answers if isinstance(answer, Charged)]
    assert len(charged) == 50
    assert sum(not answer.is_replay for answer in charged) == 1
    assert {answer.charge.position for answer in charged} == {books.charged()[id, "track-1"].position}


def test_an_answer_is_what_is_stored(ledger: Ledger, books: Books) -> None:
    ids = [start(ledger) for _ in range(5)]

    answers = together(ledger, *[(id, track(f"track-{number}")) for id in ids for number in range(3)])

    charges = [answer.charge for answer in answers if isinstance(answer, Charged)]
    assert len(charges) == 15
    assert {(each.subscription_id, each.generation_id): each for each in charges} == books.charged()
    assert [each.position for each in charges] == list(range(11, 26)), "positions in the order of the batch"


def test_a_command_sees_the_ones_before_it_in_its_batch(ledger: Ledger, books: Books) -> None:
    id = start(ledger, "ai-starter-7500-monthly")

    answers = together(
        ledger,
        (id, track("track-1")),
        (id, UpgradePlan("ai-starter-16500-monthly")),
        (id, track("track-1")),
        (id, track("track-1")),
        (id, ChargeGeneration("track-1", "lyria-3-pro")),
    )

    assert tally(answers) == {"not_in_plan": 1, "Done": 1, "Charged": 2, "generation_id_conflict": 1}
    first, again = answers[2:4]
    assert isinstance(first, Charged)
    assert not first.is_replay
    assert again == Charged(first.charge, is_replay=True)
    assert answers[4] == Refused(GenerationIdConflict(first.charge))
    books.check()


def test_a_charge_can_be_asked_for_again_for_ever(ledger: Ledger, clock: SettableClock, books: Books) -> None:
    id = start(ledger)
    first = charge(ledger, id, "track-1")
    clock.advance(days=800)
    ledger.execute(id, UpgradePlan("max-pro-240000-yearly"), BY)

    assert ledger.execute(id, track("track-1"), BY) == Charged(first.charge, is_replay=True)
    assert len(books.charged()) == 1


def test_a_refusal_does_not_burn_the_generation_id(ledger: Ledger) -> None:
    id = start(ledger, "ai-starter-7500-monthly")
    refused = ledger.execute(id, track("track-1"), BY)
    assert tally([refused]) == {"not_in_plan": 1}

    ledger.execute(id, UpgradePlan("ai-starter-16500-monthly"), BY)

    assert not charge(ledger, id, "track-1").is_replay


def test_a_new_ledger_finds_everything_as_the_old_one_left_it(
    ledger: Ledger, books: Books, database_url: str, catalogue: Catalogue, clock: SettableClock
) -> None:
    ids = [start(ledger) for _ in range(3)]
    for id in ids:
        for number in range(4):
            charge(ledger, id, f"track-{number}")
    ledger.lane.stop()

    with Ledger(database_url, SCHEMA, catalogue, clock=clock) as other:
        answers = together(other, *[(id, track(f"track-{number}")) for id in ids for number in range(3, 6)])

    assert [answer.is_replay for answer in answers if isinstance(answer, Charged)] == [True, False, False] * 3
    books.check()
