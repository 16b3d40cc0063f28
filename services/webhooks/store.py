"""Reads and writes endpoints, hold-ups, outcomes and notices. For threads; every method raises psycopg.Error."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict
from psycopg import Connection

from services.postgres.sql import load_queries
from services.webhooks.messages import Place


class Endpoint(Struct, frozen=True):
    """An endpoint: where messages go, of which types, and how far it is."""

    webhook_id: UUID
    url: str
    types: list[str]
    description: str | None
    created_at: datetime
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None
    first_position: int
    position: int
    generation: int
    failing_since: datetime | None
    disabled_at: datetime | None

    def live_secrets(self, now: datetime) -> list[str]:
        """Return the secrets that sign now."""
        is_old_live = self.old_secret is not None and self.old_secret_until is not None and now < self.old_secret_until
        return [self.secret, *([self.old_secret] if is_old_live and self.old_secret else [])]


class HoldUp(Struct, frozen=True):
    """A subscription whose message at this place was not taken; whatever comes behind it waits."""

    subscription_id: UUID
    position: int
    ordinal: int
    attempts: int
    last_status: int | None
    last_error: str | None
    next_attempt_at: datetime

    @property
    def place(self) -> Place:
        """The place of the message."""
        return Place(self.position, self.ordinal)


class Outcome(Struct, frozen=True):
    """How a message ended: `delivered` or `parked`."""

    position: int
    ordinal: int
    status: str
    attempts: int
    last_status: int | None
    last_error: str | None


class DueNotice(Struct, frozen=True):
    """A message that no event brings about, and that is to be tried."""

    notice_id: int
    webhook_id: UUID
    type: str
    made_at: datetime
    data: str
    attempts: int


class Progress(Struct, frozen=True):
    """What the deliveries of an endpoint came to since the last commit."""

    position: int
    failing_since: datetime | None
    hold_ups: Collection[HoldUp]
    released: Collection[UUID]
    outcomes: Collection[Outcome]


class WebhookStore:
    """The tables of webhooks of one schema, on the caller's autocommit connection."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self.queries = load_queries(__file__, "webhooks.sql", schema=schema)

    def insert(self, connection: Connection[Any], **columns: Any) -> Endpoint:
        """Make an endpoint that begins behind the last event."""
        row = connection.execute(self.queries["insert_webhook"], columns).fetchone()
        assert row is not None
        return Endpoint(*row)

    def endpoints(self, connection: Connection[Any], after: UUID, limit: int) -> list[Endpoint]:
        """List endpoints behind an id."""
        rows = connection.execute(self.queries["list_webhooks"], {"after": after, "limit": limit})
        return [Endpoint(*row) for row in rows]

    def find(self, connection: Connection[Any], webhook_id: UUID) -> Endpoint | None:
        """Find an endpoint."""
        row = connection.execute(self.queries["find_webhook"], {"webhook_id": webhook_id}).fetchone()
        return Endpoint(*row) if row else None

    def delete(self, connection: Connection[Any], webhook_id: UUID) -> bool:
        """Delete an endpoint, and say whether there was one."""
        return bool(connection.execute(self.queries["delete_webhook"], {"webhook_id": webhook_id}).rowcount)

    def rotate(self, connection: Connection[Any], webhook_id: UUID, secret: str, until: datetime) -> Endpoint | None:
        """Give an endpoint a new secret; the one before signs as well until an instant."""
        arguments = {"webhook_id": webhook_id, "secret": secret, "until": until}
        row = connection.execute(self.queries["rotate_secret"], arguments).fetchone()
        return Endpoint(*row) if row else None

    def rewind(self, connection: Connection[Any], webhook_id: UUID, position: int, now: datetime) -> None:
        """Deliver again what comes behind a position, and switch the endpoint on."""
        with connection.transaction():
            connection.execute(self.queries["rewind_webhook"], {"webhook_id": webhook_id, "position": position})
            connection.execute(self.queries["hurry_hold_ups"], {"webhook_id": webhook_id, "now": now})

    def take_role(self, connection: Connection[Any]) -> bool:
        """Begin a transaction and take the role in it, unless another process has it."""
        connection.execute(b"BEGIN")
        connection.execute(self.queries["begin_role"])
        row = connection.execute(self.queries["take_role"], {"schema": self._schema}).fetchone()
        if row is not None and row[0]:
            return True
        connection.execute(b"ROLLBACK")
        return False

    def keep_role(self, connection: Connection[Any]) -> None:
        """Say that the holder of the role is alive."""
        connection.execute(self.queries["keep_role"])

    def take_over(self, connection: Connection[Any]) -> None:
        """Keep whoever delivered before from writing anything more."""
        connection.execute(self.queries["take_over"])

    def hold_ups(self, connection: Connection[Any], webhook_id: UUID) -> list[HoldUp]:
        """List the hold-ups of an endpoint."""
        rows = connection.execute(self.queries["list_hold_ups"], {"webhook_id": webhook_id})
        return [HoldUp(*row) for row in rows]

    def commit(self, connection: Connection[Any], endpoint: Endpoint, progress: Progress, now: datetime) -> bool:
        """Store how far an endpoint is; return False, and store nothing, where it was changed from outside."""
        key = {"webhook_id": endpoint.webhook_id}
        with connection.transaction():
            arguments: dict[str, Any] = {
                **key,
                "generation": endpoint.generation,
                "position": progress.position,
                "failing_since": progress.failing_since,
            }
            if not connection.execute(self.queries["commit_progress"], arguments).rowcount:
                return False
            cursor = connection.cursor()
            if progress.released:
                arguments = {**key, "subscription_ids": list(progress.released)}
                cursor.execute(self.queries["delete_hold_ups"], arguments)
            if progress.hold_ups:
                cursor.executemany(self.queries["put_hold_up"], [{**key, **asdict(each)} for each in progress.hold_ups])
            if progress.outcomes:
                rows = [{**key, **asdict(each), "settled_at": now} for each in progress.outcomes]
                cursor.executemany(self.queries["put_outcome"], rows)
        return True

    def disable(self, connection: Connection[Any], endpoint: Endpoint, now: datetime) -> None:
        """Switch an endpoint off."""
        arguments = {"webhook_id": endpoint.webhook_id, "generation": endpoint.generation, "now": now}
        connection.execute(self.queries["disable_webhook"], arguments)

    def outcomes(self, connection: Connection[Any], webhook_id: UUID, positions: Iterable[int]) -> dict[Place, Outcome]:
        """Return the outcomes that are kept of some positions."""
        arguments = {"webhook_id": webhook_id, "positions": list(positions)}
        rows = connection.execute(self.queries["list_outcomes"], arguments)
        return {Place(each.position, each.ordinal): each for each in (Outcome(*row) for row in rows)}

    def forget(self, connection: Connection[Any], before: datetime) -> None:
        """Forget what was settled long ago."""
        connection.execute(self.queries["forget_outcomes"], {"before": before})

    def add_notice(self, connection: Connection[Any], webhook_id: UUID, kind: str, made_at: datetime, data: str) -> int:
        """Add a message that no event brings about, and return its number."""
        arguments = {"webhook_id": webhook_id, "type": kind, "made_at": made_at, "data": data}
        row = connection.execute(self.queries["insert_notice"], arguments).fetchone()
        assert row is not None
        return int(row[0])

    def add_notices(self, connection: Connection[Any], kind: str, made_at: datetime, data: str) -> None:
        """Add such a message for every endpoint that takes its type."""
        connection.execute(self.queries["insert_notices"], {"type": kind, "made_at": made_at, "data": data})

    def notice_checkpoints(self, connection: Connection[Any]) -> None:
        """Add notices of the checkpoints that are new."""
        connection.execute(self.queries["notice_checkpoints"])

    def due_notices(self, connection: Connection[Any], now: datetime) -> list[DueNotice]:
        """List the notices that are to be tried."""
        return [DueNotice(*row) for row in connection.execute(self.queries["due_notices"], {"now": now})]

    def move_notice(self, connection: Connection[Any], notice_id: int, columns: Mapping[str, Any]) -> None:
        """Store what a try of a notice came to."""
        connection.execute(self.queries["move_notice"], {"notice_id": notice_id, **columns})
