"""Starts many subscriptions at once, and reads what is recorded of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from queue import SimpleQueue
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from services.ledger.ledger import Ledger
from services.ledger.records import Metadata
from services.ledger.submission import Answer, Done, Submission
from services.subscription.commands import Command, StartSubscription

BY = Metadata(key_id="test", request_id="request-1")
MONTHLY = "ai-suite-40000-monthly"
YEARLY = "ai-suite-40000-yearly"
LOWER = "ai-starter-7500-yearly"
HIGHER = "max-pro-240000-yearly"

LANE_ROOM = 5_000


def put(ledger: Ledger, commands: Iterable[tuple[UUID, Command]]) -> list[Answer]:
    """Submit all the commands at once and wait for the answers, returned in the same order."""
    answers: SimpleQueue[tuple[Submission, Answer]] = SimpleQueue()
    submissions = [
        Submission(id, command, BY, lambda submission, answer: answers.put((submission, answer)))
        for id, command in commands
    ]
    for submission in submissions:
        ledger.lane.submit(submission)
    by_submission = {id(submission): answer for submission, answer in (answers.get() for _ in submissions)}
    return [by_submission[id(submission)] for submission in submissions]


def start(ledger: Ledger, count: int, plan_id: str = MONTHLY, *, test_clock_id: str | None = None) -> list[UUID]:
    """Start so many subscriptions now, no more at a time than the lane has room for."""
    ids = [uuid4() for _ in range(count)]
    for first in range(0, count, LANE_ROOM):
        some = ids[first : first + LANE_ROOM]
        answers = put(ledger, ((id, StartSubscription("account", plan_id, test_clock_id)) for id in some))
        assert all(isinstance(answer, Done) for answer in answers)
    return ids


class Recorded:
    """Reads the events table."""

    def __init__(self, database_url: str, schema: str = "tallystick") -> None:
        self._database_url = database_url
        self._events = sql.Identifier(schema, "ledger_events")

    def topics(self, subscription_id: UUID) -> list[str]:
        """List the topics of a subscription's events, in order."""
        query = "SELECT topic FROM {} WHERE originator_id = %s ORDER BY originator_version"
        return [topic for (topic,) in self._select(query, subscription_id)]

    def instants(self, subscription_id: UUID, topic: str) -> list[datetime]:
        """List the instants at which events of a topic were recorded, in order."""
        query = "SELECT recorded_at FROM {} WHERE originator_id = %s AND topic = %s ORDER BY originator_version"
        return [at for (at,) in self._select(query, subscription_id, topic)]

    def counts(self, topic: str) -> Counter[int]:
        """Count the subscriptions by their number of events of a topic."""
        query = "SELECT count(*) FILTER (WHERE topic = %s) FROM {} GROUP BY originator_id"
        return Counter(count for (count,) in self._select(query, topic))

    def key_ids(self, subscription_id: UUID) -> list[str]:
        """List the key ids that recorded a subscription's events, in order."""
        query = (
            "SELECT convert_from(state, 'UTF8')::jsonb #>> '{{metadata,key_id}}' FROM {} "
            "WHERE originator_id = %s ORDER BY originator_version"
        )
        return [key_id for (key_id,) in self._select(query, subscription_id)]

    def _select(self, query: LiteralString, *arguments: object) -> Sequence[tuple[Any, ...]]:
        with psycopg.connect(self._database_url) as connection:
            return connection.execute(sql.SQL(query).format(self._events), arguments).fetchall()
