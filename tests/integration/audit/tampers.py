"""Tampers with a ledger as the owner of its database can, with triggers switched off.

`Tampers.draw` makes one change at random in the caller's transaction and describes it.
"""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import Connection, sql

from projections.registry import PROJECTIONS


class Column(NamedTuple):
    """A column that can be changed, and the kind of its values."""

    table: str
    name: str
    kind: str


def columns(table: str, **kinds: str) -> list[Column]:
    return [Column(table, name, kind) for kind, names in kinds.items() for name in names.split()]


EVENTS = columns(
    "ledger_events",
    id="originator_id",
    number="notification_id originator_version",
    instant="recorded_at",
    text="topic",
    bytes="previous_hash state",
)
LOG = [
    *columns("log_checkpoints", number="number size", text="note origin log", bytes="root"),
    *columns("log_tiles", number="tile level", text="log", bytes="hashes"),
    *columns("log_trees", number="size", text="origin log"),
    *columns("log_keys", text="vkey origin log"),
    *columns("refusal_numbers", id="subscription_id", number="number version", text="generation_id"),
    *columns(
        "refusals",
        id="subscription_id",
        number="version balance_credits",
        instant="refused_at",
        text="generation_id model code",
    ),
]
_KINDS = {"uuid": "id", "int8": "number", "text": "text", "timestamptz": "instant", "date": "day", "bytea": "bytes"}
READ_MODELS = [
    *(Column(each.table, column.name, _KINDS[column.type]) for each in PROJECTIONS for column in each.all_columns),
    *columns("ledger_snapshots", id="originator_id", number="originator_version", bytes="state"),
    *columns("head", number="last_id"),
]
# A snapshot only saves time: one that is missing is no loss.
DELETED_FROM = ["ledger_events", "head", *sorted({each.table for each in LOG}), *(each.table for each in PROJECTIONS)]
KEYS = {
    "ledger_events": ("notification_id", "originator_version"),
    "ledger_snapshots": ("originator_version",),
    **{each.table: each.key or (each.stream,) for each in PROJECTIONS},
}

_APPEND_COPY = """
    INSERT INTO tallystick.ledger_events
        (notification_id, originator_version, recorded_at, originator_id, topic, previous_hash, state)
    SELECT (SELECT max(notification_id) + 1 FROM tallystick.ledger_events),
           (SELECT max(originator_version) + 1 FROM tallystick.ledger_events WHERE originator_id = e.originator_id),
           recorded_at, originator_id, topic, previous_hash, state
    FROM tallystick.ledger_events AS e WHERE ctid = %s
    RETURNING notification_id
"""


class Tampers:
    """A source of tampers; the same seed draws the same ones from the same ledger."""

    def __init__(self, connection: Connection[Any], seed: int) -> None:
        self._connection = connection
        self._random = random.Random(seed)
        self.positions: frozenset[int] = frozenset()
        """Of the events that were touched, where they were and are; empty where it was something else."""

    def draw(self) -> str:
        """Change something; what, in words. What the database itself refuses is drawn again."""
        while True:
            tampers = (
                *(self._change_event, self._change_row, self._change_log),
                *(self._delete, self._insert, self._reorder, self._truncate),
            )
            (tamper,) = self._random.choices(tampers, (40, 20, 10, 10, 5, 10, 5))
            self.positions = frozenset()
            try:
                with self._connection.transaction():
                    return tamper()
            except (psycopg.IntegrityError, psycopg.DataError, LookupError):
                continue

    def _change_event(self) -> str:
        return self._change(self._random.choice(EVENTS))

    def _change_row(self) -> str:
        return self._change(self._random.choice(READ_MODELS))

    def _change_log(self) -> str:
        return self._change(self._random.choice(LOG))

    def _change(self, column: Column) -> str:
        """Change one byte, one character, or a number or an instant by one step."""
        row, value = self._row(column.table, column.name)
        self._note(column.table, row)
        changed = self._changed(column.kind, value)
        self._run("UPDATE {table} SET {column} = %s WHERE ctid = %s", column.table, [changed, row], column.name)
        if column.name == "notification_id":
            self.positions |= {changed}
        return f"{column.table}.{column.name} of {row}: {value!r} -> {changed!r}"

    def _changed(self, kind: str, value: Any) -> Any:
        step = self._random.choice((-1, 1)) * self._random.choice((1, 1, 2, 10, 1_000))
        match kind:
            case "bytes":
                at = self._random.randrange(len(value))
                return value[:at] + bytes([value[at] ^ self._random.randrange(1, 256)]) + value[at + 1 :]
            case "text" if not value:
                return self._random.choice("abcZ09-_")
            case "text":
                at = self._random.randrange(len(value))
                others = [each for each in "abcZ09-_" if each != value[at]]
                return value[:at] + self._random.choice(others) + value[at + 1 :]
            case "id":
                return type(value)(int=value.int ^ (1 << self._random.randrange(128)))
            case "number":
                return value + step
            case "instant" | "day":
                return value + (timedelta(microseconds=step) if kind == "instant" else timedelta(days=step))
            case _:
                raise AssertionError(kind)

    def _delete(self) -> str:
        table = self._random.choice(DELETED_FROM)
        row, _ = self._row(table)
        self._note(table, row)
        self._run("DELETE FROM {table} WHERE ctid = %s", table, [row])
        return f"{table}: deleted {row}"

    def _insert(self) -> str:
        """Insert a copy of a row under another key, or of an event at the end of its stream and of the ledger."""
        table = self._random.choice([*KEYS])
        if table == "ledger_events":
            return self._append_copy()
        key = self._random.choice(KEYS[table])
        row, value = self._row(table, key)
        kind = next(each.kind for each in [*EVENTS, *READ_MODELS] if (each.table, each.name) == (table, key))
        changed = self._changed(kind, value)
        self._run("CREATE TEMP TABLE copied ON COMMIT DROP AS SELECT * FROM {table} WHERE ctid = %s", table, [row])
        self._connection.execute(sql.SQL("UPDATE copied SET {key} = %s").format(key=sql.Identifier(key)), [changed])
        self._run("INSERT INTO {table} SELECT * FROM copied", table, [])
        self._connection.execute("DROP TABLE copied")
        return f"{table}: a copy of {row} with {key} {changed!r}"

    def _append_copy(self) -> str:
        row, _ = self._row("ledger_events")
        is_head_moved = self._random.random() < 0.5
        appended = self._connection.execute(_APPEND_COPY, [row]).fetchone()
        assert appended is not None
        self.positions = frozenset(appended)
        if is_head_moved:
            self._connection.execute("UPDATE tallystick.head SET last_id = last_id + 1")
        return f"ledger_events: a copy of {row} appended{', and the head moved' if is_head_moved else ''}"

    def _reorder(self) -> str:
        """Exchange two events: their positions, their versions, or their contents."""
        names = self._random.choice(("notification_id", "originator_version", "state", "topic, state, recorded_at"))
        one, _ = self._row("ledger_events")
        other, _ = self._row("ledger_events")
        self._note("ledger_events", one, other)
        picked = [each.strip() for each in names.split(",")]
        listed = sql.SQL(", ").join(map(sql.Identifier, picked))
        query = sql.SQL("SELECT {} FROM tallystick.ledger_events WHERE ctid = %s").format(listed)
        first, second = (self._connection.execute(query, [row]).fetchone() for row in (one, other))
        if first is None or second is None or first == second:
            raise LookupError("nothing would change")
        if picked == ["notification_id"] or picked == ["originator_version"]:
            # Through a place that none has, since both may not have the same one at any time.
            self._set(picked, [10**9], other)
            self._set(picked, second, one)
            self._set(picked, first, self._ctid_of(picked, 10**9))
        else:
            self._set(picked, second, one)
            self._set(picked, first, other)
        return f"ledger_events: {one} and {other} change {names}"

    def _ctid_of(self, picked: Sequence[str], value: int) -> str:
        query = sql.SQL("SELECT ctid::text FROM tallystick.ledger_events WHERE {} = %s").format(
            sql.Identifier(picked[0])
        )
        row = self._connection.execute(query, [value]).fetchone()
        assert row is not None
        return str(row[0])

    def _set(self, names: Sequence[str], values: Sequence[Any], row: str) -> None:
        settings = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names)
        statement = sql.SQL("UPDATE tallystick.ledger_events SET {} WHERE ctid = %s").format(settings)
        assert self._connection.execute(statement, [*values, row]).rowcount == 1

    def _truncate(self) -> str:
        """Delete the newest events and mend the head row, or that and the versions of balances, or neither."""
        (last,) = self._connection.execute("SELECT max(notification_id) FROM tallystick.ledger_events").fetchone() or (
            0,
        )
        new_last = last - self._random.randrange(1, 20)
        self.positions = frozenset({new_last + 1})
        mended = self._random.choice(("nothing", "the head", "the head and the balances"))
        self._connection.execute("DELETE FROM tallystick.ledger_events WHERE notification_id > %s", [new_last])
        if mended != "nothing":
            self._connection.execute("UPDATE tallystick.head SET last_id = %s", [new_last])
        if mended == "the head and the balances":
            self._connection.execute(
                "UPDATE tallystick.balance AS b SET (version, position) = (SELECT max(originator_version),"
                " max(notification_id) FROM tallystick.ledger_events WHERE originator_id = b.subscription_id)"
                " WHERE position > %s AND EXISTS (SELECT FROM tallystick.ledger_events"
                " WHERE originator_id = b.subscription_id)",
                [new_last],
            )
        return f"ledger_events: cut behind {new_last}, {mended} mended"

    def _row(self, table: str, column: str | None = None) -> tuple[str, Any]:
        """The ctid of a random row, and the value of a column of it that is not null."""
        name = sql.Identifier(column) if column else sql.SQL("true")
        query = sql.SQL("SELECT ctid::text, {name} FROM {table} WHERE {name} IS NOT NULL ORDER BY ctid").format(
            name=name, table=sql.Identifier("tallystick", table)
        )
        rows = self._connection.execute(query).fetchall()
        if not rows:
            raise LookupError(f"{table} is empty")
        row, value = self._random.choice(rows)
        return row, value

    def _note(self, table: str, *rows: str) -> None:
        """Note the positions of the events that are about to be changed."""
        if table == "ledger_events":
            query = "SELECT notification_id FROM tallystick.ledger_events WHERE ctid = ANY(%s::tid[])"
            positions = self._connection.execute(query, [list(rows)]).fetchall()
            self.positions = frozenset(position for (position,) in positions)

    def _run(self, statement: str, table: str, arguments: Sequence[Any], column: str = "ctid") -> None:
        query = sql.SQL(statement).format(table=sql.Identifier("tallystick", table), column=sql.Identifier(column))
        self._connection.execute(query, arguments)
