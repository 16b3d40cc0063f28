"""A ledger that the lane wrote, read by the stock `eventsourcing` library: repository, notification log, projection.

No class of ours takes part but those of `services/ledger/library.py`, which derive from the library's own.
"""

import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import psycopg
import pytest
from eventsourcing.application import AggregateNotFoundError
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import JSONTranscoder, Mapper, ProgrammingError, Tracking
from eventsourcing.popo import POPOTrackingRecorder
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresFactory
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import resolve_topic
from psycopg.conninfo import conninfo_to_dict

from services.dispute.events import DisputeEvent
from services.ledger import library
from services.ledger.ledger import Ledger
from services.ledger.library import GenerationCharged, LedgerApplication, LedgerEvent, SubscriptionAggregate
from services.ledger.submission import Charged
from services.subscription.events import Event
from tests.conftest import SettableClock
from tests.integration.audit.lives import Lives
from tests.integration.ledger.books import Books
from tests.integration.ledger.lanes import BY, charge, concurrently, start, track
from tests.waiting import PATIENCE_SECONDS

GUIDE = Path(__file__).parents[3] / "docs/how-to/read-with-eventsourcing.md"
GRANTS = "".join(re.findall(r"```sql\n(.*?)```", GUIDE.read_text(), re.DOTALL))


@pytest.fixture
def environment(database_url: str) -> Iterator[dict[str, str]]:
    """The library's variables for a role that can only read, made as the guide says."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(GRANTS.replace("'...'", "'secret'").encode())
    where = conninfo_to_dict(database_url)
    yield {
        "POSTGRES_DBNAME": str(where["dbname"]),
        "POSTGRES_HOST": str(where["host"]),
        "POSTGRES_PORT": str(where.get("port", 5432)),
        "POSTGRES_USER": "ledger_reader",
        "POSTGRES_PASSWORD": "secret",
    }
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("DROP OWNED BY ledger_reader")
        owner.execute("DROP ROLE ledger_reader")


@pytest.fixture
def stock(environment: dict[str, str]) -> Iterator[LedgerApplication]:
    """The library's application on the ledger."""
    with LedgerApplication(environment) as application:
        yield application


@pytest.fixture
def lives(ledger: Ledger, other: Ledger, clock: SettableClock) -> Lives:
    """Subscriptions with a random history, and with charges that two processes made concurrently."""
    lives = Lives(ledger, clock, seed=11)
    lives.start(6)
    lives.go_on(250)
    concurrently(
        [
            partial((ledger, other)[number % 2].execute, id, track(f"concurrent-{number}"), BY)
            for number in range(40)
            for id in lives.subscription_ids
        ]
    )
    return lives


def test_all_of_it_is_the_libraries_own(stock: LedgerApplication) -> None:
    assert type(stock.factory) is PostgresFactory
    assert type(stock.recorder) is PostgresApplicationRecorder
    assert type(stock.mapper) is Mapper
    assert type(stock.mapper.transcoder) is JSONTranscoder


def test_every_event_has_a_stock_event_under_its_topic() -> None:
    for kind in (*get_args(Event), *get_args(DisputeEvent)):
        stock_event = resolve_topic(kind.__name__)
        assert issubclass(stock_event, LedgerEvent)
        assert {*inspect.get_annotations(stock_event)} <= {*kind.__struct_fields__}, "they are fields of what is stored"


def test_the_module_can_be_copied() -> None:
    imports = re.findall(r"^(?:from|import) (\S+)", Path(library.__file__).read_text(), re.MULTILINE)
    assert {name.partition(".")[0] for name in imports} == {"typing", "uuid", "eventsourcing"}


def test_its_repository_reads_every_subscription_at_every_version(
    stock: LedgerApplication, lives: Lives, books: Books
) -> None:
    for id in lives.subscription_ids:
        for version in (*range(1, 30, 7), None):
            head = books.head(id) if version is None else books.head(id, version)
            assert head is not None
            aggregate: SubscriptionAggregate = stock.repository.get(
                id, version=min(version or head.version, head.version)
            )
            assert (aggregate.id, aggregate.version) == (id, head.version)
            assert (aggregate.account_id, aggregate.plan_id, aggregate.status, aggregate.balance_credits) == (
                head.state.account_id,
                head.state.plan.plan_id,
                head.state.status,
                head.state.balance_credits,
            )


def test_it_finds_no_subscription_where_there_is_none(stock: LedgerApplication) -> None:
    with pytest.raises(AggregateNotFoundError):
        stock.repository.get(UUID(int=1))


@pytest.mark.usefixtures("lives")
def test_its_notification_log_is_the_ledger_without_a_gap(stock: LedgerApplication, books: Books) -> None:
    events = books.events()
    read: list[Any] = []
    while section := stock.notification_log.select(start=len(read) + 1, limit=10):
        read += section

    assert [each.id for each in read] == list(range(1, len(events) + 1))
    assert [(each.originator_id, each.originator_version, each.topic, each.state) for each in read] == [
        (each.originator_id, each.originator_version, each.topic, each.state) for each in events
    ]
    assert stock.recorder.max_notification_id() == len(events)


class CreditsByModel(POPOTrackingRecorder):
    """A view in memory: the credits charged for each model."""

    def __init__(self) -> None:
        super().__init__()
        self.credits: Counter[str] = Counter()

    def add(self, model: str, amount: int, tracking: Tracking) -> None:
        """Count a charge, and note its position."""
        with self._database_lock:
            self._assert_tracking_uniqueness(tracking)
            self._insert_tracking(tracking)
            self.credits[model] += amount


class CountCredits(Projection[CreditsByModel]):
    """A stock projection of charges."""

    @singledispatchmethod
    def process_event(self, event: Any, tracking: Tracking) -> None:
        """Note the position of an event that is no charge."""
        self.view.insert_tracking(tracking)

    @process_event.register
    def _(self, event: GenerationCharged, tracking: Tracking) -> None:
        self.view.add(event.model, event.credits, tracking)


@pytest.mark.usefixtures("lives")
def test_a_stock_projection_follows_it(ledger: Ledger, environment: dict[str, str], books: Books) -> None:
    id = start(ledger)
    with ProjectionRunner(
        application_class=LedgerApplication,
        projection_class=CountCredits,
        view_class=CreditsByModel,
        env={**environment, "COUNTCREDITS_PERSISTENCE_MODULE": "eventsourcing.popo"},
    ) as runner:
        runner.wait(len(books.events()), timeout=PATIENCE_SECONDS)
        assert runner.view.credits == _credits_by_model(books)

        position = charge(ledger, id, "while it follows").charge.position
        with runner.app.recorder.datastore.transaction(commit=True) as cursor:
            cursor.execute("NOTIFY ledger_events")
        runner.wait(position, timeout=PATIENCE_SECONDS)
        assert runner.view.credits == _credits_by_model(books)


def _credits_by_model(books: Books) -> Counter[str]:
    counter: Counter[str] = Counter()
    for each in books.charged().values():
        counter[each.model] += each.credits
    return counter


def test_it_cannot_save(ledger: Ledger, stock: LedgerApplication, books: Books) -> None:
    id = start(ledger)
    aggregate: SubscriptionAggregate = stock.repository.get(id)
    aggregate.trigger_event(library.CreditsGranted, credits=1_000_000, metadata={})

    with pytest.raises(ProgrammingError):
        stock.save(aggregate)

    assert len(books.events()) == 2


def test_the_program_of_the_guide_runs_as_written(
    ledger: Ledger, environment: dict[str, str], books: Books, tmp_path: Path
) -> None:
    id = start(ledger)
    charged = [ledger.execute(id, track(f"track-{number}"), BY) for number in range(3)]
    assert all(isinstance(answer, Charged) for answer in charged)
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "program.py").write_text(program)

    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py", str(id)],
        env={**os.environ, **environment, "PYTHONPATH": str(GUIDE.parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().strip() for _ in range(8)]
            charge(ledger, id, "while it runs")
            while lines[-1] != "{'lyria-3': 600}":
                lines.append(process.stdout.readline().strip())
                assert lines[-1], "it runs until it is stopped"
        finally:
            process.kill()

    assert lines[:8] == [
        "5 ai-starter-16500-monthly active 16050",
        "2 ai-starter-16500-monthly active 16500",
        "1 SubscriptionStarted 1",
        "2 CreditsGranted 2",
        "3 GenerationCharged 3",
        "4 GenerationCharged 4",
        "5 GenerationCharged 5",
        "{'lyria-3': 450}",
    ]
