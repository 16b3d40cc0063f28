"""Records the differences of a run as corrections: each subscription's once, whatever is cut short or repeated."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from psycopg import Connection

from projections.renewal.project import Moved, with_balance
from services.fleet.run_file import RunEntry, RunFile
from services.fleet.running import OtherRun, event_hash_at
from services.ledger.lane import WriterLane
from services.ledger.many import put_all
from services.ledger.mapper import read_event
from services.ledger.recorder import Recorder
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Done, Failed, Refused
from services.postgres.sql import load_queries
from services.process.progress import ReportProgress
from services.subscription.boundaries import as_of
from services.subscription.commands import AdjustCredits
from services.subscription.events import CreditsAdjusted
from services.subscription.refusals import SubscriptionHasEnded
from services.subscription.state import Subscription

SUBSCRIPTIONS_AT_A_TIME = 256
KEY_ID = "operator"

Fate = Literal["settled", "ended", "already"]


class Correction(Struct, frozen=True):
    """What becomes, or became, of the difference of one subscription, and the credits recorded for it."""

    subscription_id: UUID
    difference_credits: int
    fate: Fate
    credits: int = 0


class Settlement(Struct, frozen=True):
    """The sums of a settlement: subscriptions that got credits, that lost some, and to which nothing was recorded.

    `unavailable_credits` should have been taken and were not there any more.
    """

    given_to: int = 0
    given_credits: int = 0
    taken_from: int = 0
    taken_credits: int = 0
    unavailable_credits: int = 0
    ended: int = 0
    already: int = 0

    def __add__(self, each: Correction) -> "Settlement":
        if each.fate == "already":
            return replace(self, already=self.already + 1)
        if each.fate == "ended":
            return replace(self, ended=self.ended + 1)
        if each.difference_credits > 0:
            return replace(self, given_to=self.given_to + 1, given_credits=self.given_credits + each.credits)
        return replace(
            self,
            taken_from=self.taken_from + 1,
            taken_credits=self.taken_credits - each.credits,
            unavailable_credits=self.unavailable_credits + each.credits - each.difference_credits,
        )

    @property
    def recorded(self) -> int:
        """The number of subscriptions for which something is recorded."""
        return self.given_to + self.taken_from


class NotSettled(RuntimeError):
    """A correction could not be recorded; those before it are, and the same again goes on behind them."""


class Settling:
    """Settles runs on one schema. A connection that is passed in must be in autocommit."""

    def __init__(self, schema: str, clock: Callable[[], datetime], report: ReportProgress) -> None:
        self._queries = load_queries(__file__, "fleet.sql", schema=schema)
        self._recorder = Recorder(schema)
        self._clock = clock
        self._report = report

    def preview(self, connection: Connection[Any], run: RunFile) -> Settlement:
        """Say what settling a run now would record. Raises OtherRun, NotARun, psycopg.Error."""
        total = Settlement()
        for several in self._entries(connection, run):
            for each in self._planned(connection, run, several):
                total += each
        return total

    def settle(self, connection: Connection[Any], lane: WriterLane, run: RunFile, reason: str) -> Settlement:
        """Record what the run found. Raises NotSettled, and as `preview` does."""
        total = Settlement()
        metadata = Metadata(KEY_ID, f"settle-{run.head.run_id}")
        for several in self._entries(connection, run):
            planned = list(self._planned(connection, run, several))
            open_ = {each.subscription_id: each for each in planned if each.fate == "settled"}
            for each in planned:
                if each.fate != "settled":
                    total += each
            commands = [
                (id, AdjustCredits(each.difference_credits, run.head.run_id, reason)) for id, each in open_.items()
            ]
            for id, answer in put_all(lane, commands, metadata):
                total += self._recorded(connection, open_[id], answer)
        return total

    def _entries(self, connection: Connection[Any], run: RunFile) -> Iterator[Sequence[RunEntry]]:
        """Yield the lines that have a difference in credits, so many at a time."""
        if event_hash_at(connection, self._queries, run.head.position) != run.head.event_hash:
            raise OtherRun("it is the run of another ledger")
        entries, done = (each for each in run.entries() if each.difference_credits), 0
        while several := [*islice(entries, SUBSCRIPTIONS_AT_A_TIME)]:
            yield several
            done += len(several)
            self._report("Settling", done, run.end.lines)

    def _planned(self, connection: Connection[Any], run: RunFile, entries: Sequence[RunEntry]) -> Iterator[Correction]:
        states = self._states(connection, [each.subscription_id for each in entries])
        for each in entries:
            state = states.get(each.subscription_id)
            if state is None:
                raise OtherRun(f"there is no subscription {each.subscription_id}")
            yield _correction(each, state, run.head.run_id)

    def _states(self, connection: Connection[Any], ids: Iterable[UUID]) -> dict[UUID, Subscription]:
        """Read subscriptions as they are now."""
        now = self._clock()
        rows = connection.execute(self._queries["select_states"], {"ids": list(ids)})
        return {
            id: as_of(with_balance(state, Moved(*moved)), clock_now or now) for id, state, clock_now, *moved in rows
        }

    def _recorded(self, connection: Connection[Any], planned: Correction, answer: Answer) -> Correction:
        id, wanted = planned.subscription_id, planned.difference_credits
        match answer:
            case Done(event_count=0):
                return replace(planned, fate="already")
            case Done(state=state) if wanted < 0 and not state.available_credits:
                (event,) = self._recorder.events(connection, id, after=state.version - 1, until=state.version)
                adjusted = read_event(event).event
                assert isinstance(adjusted, CreditsAdjusted)
                return replace(planned, credits=adjusted.credits)
            case Done():
                return replace(planned, credits=wanted)
            case Refused(refusal=SubscriptionHasEnded()):
                return replace(planned, fate="ended")
            case Failed(error=error):
                raise NotSettled(f"{id}: {error}; settle it again to go on")
            case _:
                raise NotSettled(f"{id}: {answer}")


def _correction(entry: RunEntry, state: Subscription, run_id: str) -> Correction:
    id, wanted = entry.subscription_id, entry.difference_credits
    if run_id in state.settled_runs:
        return Correction(id, wanted, "already")
    if state.status == "ended":
        return Correction(id, wanted, "ended")
    return Correction(id, wanted, "settled", max(wanted, -state.available_credits))
