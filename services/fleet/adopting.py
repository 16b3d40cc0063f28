"""Lets the subscribers of a plan take the terms that it has now, at the end of their terms."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg import Connection

from projections.renewal.queries import RecordedSubscription, RenewalQueries, SubscriptionFilter
from services.catalogue import Catalogue
from services.ledger.lane import WriterLane
from services.ledger.many import put_all
from services.ledger.records import Metadata
from services.ledger.submission import Done, Failed
from services.process.progress import ReportProgress
from services.subscription.boundaries import as_of
from services.subscription.commands import AdoptTerms
from services.subscription.decide import decide
from services.subscription.refusals import Refusal
from services.subscription.state import Subscription

SUBSCRIPTIONS_AT_A_TIME = 256


class Adoption(Struct):
    """How many subscribers take the terms, have them or wait for them already, or will leave the plan or end."""

    scheduled: int = 0
    agreed: int = 0
    leaving: int = 0


class UnknownPlanToAdopt(LookupError):
    """The configured catalogue has no such plan."""


class NotAdopted(RuntimeError):
    """The terms could not be scheduled for a subscription; the same again goes on."""


class Adopting:
    """Schedules terms on one schema. A connection that is passed in must be in autocommit."""

    def __init__(
        self, schema: str, catalogue: Catalogue, clock: Callable[[], datetime], report: ReportProgress
    ) -> None:
        self._subscriptions = RenewalQueries(schema)
        self._catalogue = catalogue
        self._clock = clock
        self._report = report

    def preview(self, connection: Connection[Any], plan_id: str) -> Adoption:
        """Say what adopting would schedule. Raises UnknownPlanToAdopt, psycopg.Error."""
        total = Adoption()
        for several in self._subscribers(connection, plan_id):
            total.scheduled += len(self._open(several, plan_id, total))
        return total

    def adopt(self, connection: Connection[Any], lane: WriterLane, plan_id: str, metadata: Metadata) -> Adoption:
        """Schedule the terms. Raises NotAdopted, and as `preview` does."""
        total = Adoption()
        for several in self._subscribers(connection, plan_id):
            commands = [(id, AdoptTerms(plan_id)) for id in self._open(several, plan_id, total)]
            for id, answer in put_all(lane, commands, metadata):
                if isinstance(answer, Failed):
                    raise NotAdopted(f"{id}: {answer.error}; adopt {plan_id} again to go on")
                if isinstance(answer, Done) and answer.event_count:
                    total.scheduled += 1
                else:  # it left the plan, or was cancelled, a moment ago
                    total.leaving += 1
        return total

    def _subscribers(
        self, connection: Connection[Any], plan_id: str
    ) -> Iterator[list[tuple[UUID, Subscription, datetime]]]:
        """Yield those that have the plan now and have not ended, so many at a time."""
        if self._catalogue.plan(plan_id) is None:
            raise UnknownPlanToAdopt(f"the catalogue has no plan {plan_id}")
        chosen, after, done = SubscriptionFilter(plan_id=plan_id), UUID(int=0), 0
        while page := self._page(connection, chosen, after):
            after, done = page[-1].subscription_id, done + len(page)
            self._report(f"Adopting {plan_id}", done, 0)
            yield [*self._as_of_now(page, chosen)]

    def _page(
        self, connection: Connection[Any], chosen: SubscriptionFilter, after: UUID
    ) -> Sequence[RecordedSubscription]:
        now = self._clock()
        return self._subscriptions.list(connection, chosen, now=now, after=after, limit=SUBSCRIPTIONS_AT_A_TIME)

    def _as_of_now(
        self, page: Sequence[RecordedSubscription], chosen: SubscriptionFilter
    ) -> Iterator[tuple[UUID, Subscription, datetime]]:
        for each in page:
            now = each.clock_now or self._clock()
            state = as_of(each.state, now)
            if state.status != "ended" and chosen.includes(state):
                yield each.subscription_id, state, now

    def _open(
        self, subscribers: Sequence[tuple[UUID, Subscription, datetime]], plan_id: str, total: Adoption
    ) -> list[UUID]:
        """Return those for whom something is to be scheduled, and count the others."""
        found = []
        for id, state, now in subscribers:
            decision = decide(state, AdoptTerms(plan_id), now, self._catalogue)
            if decision and not isinstance(decision, Refusal):
                found.append(id)
            elif state.scheduled_change is not None and not state.adopts_terms:
                total.leaving += 1
            else:
                total.agreed += 1
        return found
