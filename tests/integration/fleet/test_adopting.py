"""`tallystick catalogue adopt`: the subscribers of a plan take its present terms at the end of their terms."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from services.catalogue import Catalogue, load_catalogue
from services.catalogue.packaged import packaged
from services.ledger.ledger import Ledger, utc_now
from services.subscription.commands import CancelSubscription, RecordDue, ScheduleDowngrade, StartSubscription
from tests.conftest import SCHEMA
from tests.integration.ledger.books import Books
from tests.integration.time.fleet import BY
from tests.processes import tallystick

PLAN = "ai-suite-40000-monthly"
STAYS, CANCELLED, MOVES, ENDED, YEARLY, OTHER = (UUID(int=number) for number in range(1, 7))
NEW = packaged().replace("monthly_credits = 40000", "monthly_credits = 50000")


def live(database_url: str, catalogue: Catalogue) -> None:
    """One that stays, one that cancelled, one that moves to another plan, one that ended; a yearly one, and another."""
    with Ledger(database_url, SCHEMA, catalogue) as ledger:
        for id in (STAYS, CANCELLED, MOVES, ENDED):
            ledger.execute(id, StartSubscription("account", PLAN), BY)
        ledger.execute(YEARLY, StartSubscription("account", "ai-suite-40000-yearly"), BY)
        ledger.execute(OTHER, StartSubscription("account", "ai-starter-7500-monthly"), BY)
        ledger.execute(CANCELLED, CancelSubscription("term_end"), BY)
        ledger.execute(MOVES, ScheduleDowngrade("ai-starter-7500-monthly"), BY)
        ledger.execute(ENDED, CancelSubscription("now"), BY)


def test_who_stays_takes_the_new_terms_and_nobody_else(database_url: str, catalogue: Catalogue, tmp_path: Path) -> None:
    live(database_url, catalogue)
    (tmp_path / "new.toml").write_text(NEW)
    books = Books(database_url)

    def adopt(*options: str, plan: str = PLAN) -> tuple[int, str]:
        settings = {"database_url": database_url, "catalogue": tmp_path / "new.toml"}
        done = tallystick("catalogue", "adopt", plan, *options, folder=tmp_path, **settings)
        return done.returncode, done.stdout

    assert adopt("--dry-run") == (
        0,
        f"At the end of their term, 1 would take the present terms of {PLAN}.\n"
        "  0 more have them, or wait for them already\n"
        "  2 more end then, or move to another plan\n",
    )
    before = books.events()
    assert adopt()[0] == 0
    (event,) = books.events()[len(before) :]
    assert (event.originator_id, event.topic) == (STAYS, "PlanChangeScheduled")
    assert adopt()[1].splitlines()[:2] == [
        f"At the end of their term, 0 take the present terms of {PLAN}.",
        "  1 more have them, or wait for them already",
    ]
    assert adopt(plan="ai-suite-40000-yearly")[1].startswith("At the end of their term, 1 take")
    assert adopt(plan="nothing")[0] == 2

    later = load_catalogue(NEW, "new")
    in_a_month, in_a_year = (utc_now() + timedelta(days=days) for days in (32, 367))
    assert _granted(books, database_url, later, STAYS, in_a_month) == 50_000
    assert _granted(books, database_url, later, CANCELLED, in_a_month) == 0
    assert _granted(books, database_url, later, MOVES, in_a_month) == 7_500
    assert _granted(books, database_url, later, YEARLY, in_a_month) == 40_000
    assert _granted(books, database_url, later, YEARLY, in_a_year) == 50_000


def _granted(books: Books, database_url: str, catalogue: Catalogue, id: UUID, at: object) -> int:
    """Let time pass, and return what the cycle then grants."""
    with Ledger(database_url, SCHEMA, catalogue, clock=lambda: at) as ledger:  # type: ignore[arg-type,return-value]
        ledger.execute(id, RecordDue(), BY)
    head = books.head(id)
    assert head is not None
    return head.state.granted_credits
