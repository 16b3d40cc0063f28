"""Who sees what an attacker did, by what he has in hand: the table of `docs/explanation/tamper-evidence.md`.

The sealer refuses to sign on; `verify` finds it beside key and seals; whoever wrote down a checkpoint finds it with
nothing else; a witness does not cosign. An attack is seen by exactly those who are named.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from services.integrity.sealing.reader import LogReader
from services.integrity.sealing.refusing import SealerRefused
from services.integrity.sealing.sealer import Sealer
from services.integrity.sealing.seals import Seals
from services.integrity.signing import KeyFile, SigningKey
from services.integrity.verify.trust import Trust, trust_in
from services.integrity.verify.verification import Verification
from services.log.checkpoint import Checkpoint
from services.log.keys import KeyKind, Signer, VerifierKey
from services.log.note import Note
from services.log.witness import Accepted, Submitted, Witnessed, decide
from tests.conftest import SCHEMA
from tests.integration.audit.sound import SealedLedger

LOG_TABLES = ("log_checkpoints", "log_trees", "log_tiles", "log_keys", "refusal_numbers", "log_cosignatures")
REWRITE = (
    "UPDATE tallystick.ledger_events SET state = convert_to(replace(convert_from(state, 'UTF8'),"
    " 'as we found it', 'as we like it'), 'UTF8') WHERE notification_id ="
    " (SELECT min(notification_id) FROM tallystick.ledger_events WHERE topic = 'DisputeResolved'"
    " AND convert_from(state, 'UTF8') LIKE '%as we found it%')"
)
"""A rewrite that only the log shows: of the last event of a stream, in what no row of a read model has."""
NOTES = "SELECT number, note FROM tallystick.log_checkpoints WHERE log = 'events' ORDER BY number"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Scene:
    """A ledger in a transaction, with copies of its key and its seals that an attacker may have."""

    def __init__(self, connection: Connection[Any], folder: Path) -> None:
        self.connection = connection
        self.folder = folder
        self.key_file = KeyFile(folder / "signing.key")
        self.seals_folder = folder / "seals" / SCHEMA
        self.notes = [note for _, note in connection.execute(NOTES)]
        self.last = len(self.notes)
        """The number of the newest note."""
        self.newest = Checkpoint.parse(Note.parse(self.notes[-1]).text)
        self.key = SigningKey.read(folder / "signing.key")
        self.own_key = SigningKey.generate()

    @classmethod
    def of(cls, sealed: SealedLedger, connection: Connection[Any], folder: Path) -> "Scene":
        """Copy key and seals of a sealed ledger."""
        shutil.copytree(sealed.folder / "seals", folder / "seals")
        shutil.copy(sealed.folder / "signing.key", folder / "signing.key")
        return cls(connection, folder)

    @property
    def seals(self) -> Seals:
        return Seals(self.seals_folder)

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement)

    def forget_the_log(self) -> None:
        self.run(*(f"DELETE FROM tallystick.{table}" for table in LOG_TABLES))

    def set_note(self, number: int, note: Note) -> None:
        self.connection.execute(
            "UPDATE tallystick.log_checkpoints SET note = %s WHERE log = 'events' AND number = %s", [str(note), number]
        )

    def seal_anew(self, key: SigningKey, origin: str) -> None:
        """Seal what is there now, as if nothing had ever been sealed, with a key and seals of the attacker's."""
        self.forget_the_log()
        folder = self.folder / "attacker"
        key.write(folder / "signing.key")
        Sealer(SCHEMA, KeyFile(folder / "signing.key"), Seals(folder / "seals"), origin, lambda: NOW).seal(
            self.connection
        )

    def truncate(self, size: int) -> None:
        """Cut the ledger off behind an event, with head, balances and whatever else says how far it went."""
        self.run(
            f"DELETE FROM tallystick.ledger_events WHERE notification_id > {size}",
            f"UPDATE tallystick.head SET last_id = {size}",
            f"UPDATE tallystick.projection_positions SET position = least(position, {size})",
        )


def events_are_rewritten(scene: Scene) -> None:
    scene.run(REWRITE)


def checkpoints_are_deleted(scene: Scene) -> None:
    scene.run("DELETE FROM tallystick.log_checkpoints")


def events_are_rewritten_and_checkpoints_deleted(scene: Scene) -> None:
    scene.run(REWRITE, "DELETE FROM tallystick.log_checkpoints")


def events_are_rewritten_and_the_log_deleted(scene: Scene) -> None:
    scene.run(REWRITE)
    scene.forget_the_log()


def everything_is_deleted(scene: Scene) -> None:
    tables = scene.connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'tallystick'").fetchall()
    keep = {"head", "alembic_version", "log_sealing", "webhook_marks"}
    scene.run(*(f"DELETE FROM tallystick.{table}" for (table,) in tables if table not in keep))
    scene.run("UPDATE tallystick.head SET last_id = 0")


def checkpoints_are_signed_anew_and_the_last_names_the_true_key(scene: Scene) -> None:
    scene.run(REWRITE)
    own, true = scene.own_key.signer(scene.newest.origin), scene.key.signer(scene.newest.origin)
    for number, note in enumerate(scene.notes, start=1):
        checkpoint = Checkpoint.parse(Note.parse(note).text)
        is_last = number == len(scene.notes)
        scene.set_note(number, (checkpoint.handing_over_to(true.key) if is_last else checkpoint).signed_by(own))
    scene.connection.execute("UPDATE tallystick.log_keys SET vkey = %s WHERE log = 'events'", [str(own.key)])


def as_many_checkpoints_are_made_again(scene: Scene) -> None:
    scene.run(REWRITE)
    scene.seal_anew(scene.own_key, scene.newest.origin)
    scene.run(
        "INSERT INTO tallystick.log_checkpoints SELECT number + more, size, signed_at, log, origin, root, handover,"
        f" note FROM tallystick.log_checkpoints, generate_series(1, {scene.last - 1}) AS more WHERE number = 1",
    )


def the_newest_checkpoint_is_rolled_back(scene: Scene) -> None:
    scene.run(f"DELETE FROM tallystick.log_checkpoints WHERE log = 'events' AND number = {scene.last}")


def a_checkpoint_in_between_is_deleted(scene: Scene) -> None:
    scene.run("DELETE FROM tallystick.log_checkpoints WHERE log = 'events' AND number = 2")


def checkpoints_are_exchanged(scene: Scene) -> None:
    scene.run(
        f"UPDATE tallystick.log_checkpoints SET number = 999 WHERE log = 'events' AND number = {scene.last}",
        f"UPDATE tallystick.log_checkpoints SET number = {scene.last} WHERE log = 'events' AND number = 2",
        "UPDATE tallystick.log_checkpoints SET number = 2 WHERE log = 'events' AND number = 999",
    )


def an_older_note_stands_in_the_place_of_the_newest(scene: Scene) -> None:
    scene.set_note(scene.last, Note.parse(scene.notes[1]))


def the_tail_is_truncated(scene: Scene) -> None:
    scene.truncate(scene.newest.size - 1)


def an_old_back_up_is_put_back(scene: Scene) -> None:
    """With its log: events, notes and tiles as they were at the second checkpoint."""
    size = Checkpoint.parse(Note.parse(scene.notes[1]).text).size
    scene.truncate(size)
    scene.run(
        "DELETE FROM tallystick.log_checkpoints WHERE number > 2",
        f"UPDATE tallystick.log_tiles SET hashes = substr(hashes, 1, {size} * 32) WHERE log = 'events' AND level = 0",
        f"UPDATE tallystick.log_trees SET size = {size} WHERE log = 'events'",
    )


def tiles_are_swapped(scene: Scene) -> None:
    scene.run(
        "UPDATE tallystick.log_tiles SET hashes = substr(hashes, 33, 32) || substr(hashes, 1, 32) || substr(hashes, 65)"
        " WHERE log = 'events' AND level = 0"
    )


def tiles_are_those_of_rewritten_events(scene: Scene) -> None:
    scene.run(REWRITE, "DELETE FROM tallystick.log_tiles", "UPDATE tallystick.log_trees SET size = 0")


def the_log_is_another_ledgers(scene: Scene) -> None:
    scene.seal_anew(scene.own_key, "tallystick/another")


def a_hand_over_is_forged(scene: Scene) -> None:
    """By the new key alone; the old one has not signed it."""
    own = scene.own_key.signer(scene.newest.origin)
    note = scene.newest.handing_over_to(own.key).signed_by(own)
    scene.connection.execute(
        "INSERT INTO tallystick.log_checkpoints SELECT number + 1, size, signed_at, log, origin, root, true, %s"
        " FROM tallystick.log_checkpoints WHERE log = 'events' AND number = %s",
        [str(note), scene.last],
    )
    scene.connection.execute(
        "INSERT INTO tallystick.log_keys SELECT log, origin, number + 1, %s FROM tallystick.log_keys"
        " WHERE log = 'events'",
        [str(own.key)],
    )


def a_second_signature_stands_below_the_newest_note(scene: Scene) -> None:
    own = scene.own_key.signer(scene.newest.origin)
    scene.set_note(scene.last, scene.newest.signed_by(scene.key.signer(scene.newest.origin), own))


def the_first_key_is_another_one(scene: Scene) -> None:
    own = scene.own_key.signer(scene.newest.origin)
    scene.connection.execute("UPDATE tallystick.log_keys SET vkey = %s WHERE log = 'events'", [str(own.key)])


def a_refusal_is_deleted(scene: Scene) -> None:
    scene.run("DELETE FROM tallystick.refusals WHERE refusal_id = (SELECT min(refusal_id) FROM tallystick.refusals)")


def a_refusal_is_rewritten(scene: Scene) -> None:
    scene.run("UPDATE tallystick.refusals SET balance_credits = balance_credits + 1")


def balances_are_raised(scene: Scene) -> None:
    scene.run("UPDATE tallystick.balance SET granted_credits = granted_credits + 1000")


def the_balance_is_a_view(scene: Scene) -> None:
    scene.run(
        "ALTER TABLE tallystick.balance RENAME TO balance_rebuilt",
        "CREATE VIEW tallystick.balance AS SELECT * FROM tallystick.balance_rebuilt",
    )


def triggers_are_switched_off(scene: Scene) -> None:
    scene.run("ALTER TABLE tallystick.ledger_events DISABLE TRIGGER ALL")


def the_seals_are_deleted(scene: Scene) -> None:
    shutil.rmtree(scene.seals_folder)


def the_seals_are_those_of_another_history(scene: Scene) -> None:
    """Signed by the attacker's key: he has database and seals, and not the key."""
    scene.run(REWRITE)
    scene.seal_anew(scene.own_key, scene.newest.origin)
    shutil.rmtree(scene.seals_folder)
    shutil.copytree(scene.folder / "attacker" / "seals", scene.seals_folder)


def the_whole_host_is_taken(scene: Scene) -> None:
    """Database, seals and key: another history, signed by the true key, with seals of its own."""
    scene.run(REWRITE)
    scene.seal_anew(scene.key, scene.newest.origin)
    shutil.rmtree(scene.seals_folder)
    shutil.copytree(scene.folder / "attacker" / "seals", scene.seals_folder)


SEALER, VERIFY, CHECKPOINT = "the sealer", "verify", "whoever wrote down a checkpoint"
OPERATOR = {SEALER, VERIFY}
ALL = {SEALER, VERIFY, CHECKPOINT}

Attack = Callable[[Scene], None]
OF_THE_OWNER_OF_THE_DATABASE: Sequence[tuple[Attack, set[str]]] = [
    (events_are_rewritten, {VERIFY, CHECKPOINT}),
    (checkpoints_are_deleted, OPERATOR),
    (events_are_rewritten_and_checkpoints_deleted, ALL),
    (events_are_rewritten_and_the_log_deleted, ALL),
    (everything_is_deleted, ALL),
    (checkpoints_are_signed_anew_and_the_last_names_the_true_key, ALL),
    (as_many_checkpoints_are_made_again, ALL),
    (the_newest_checkpoint_is_rolled_back, OPERATOR),
    (a_checkpoint_in_between_is_deleted, {VERIFY}),
    (checkpoints_are_exchanged, OPERATOR),
    (an_older_note_stands_in_the_place_of_the_newest, OPERATOR),
    (the_tail_is_truncated, {VERIFY, CHECKPOINT}),
    (an_old_back_up_is_put_back, ALL),
    (tiles_are_swapped, OPERATOR),
    (tiles_are_those_of_rewritten_events, ALL),
    (the_log_is_another_ledgers, ALL),
    (a_hand_over_is_forged, OPERATOR),
    (a_second_signature_stands_below_the_newest_note, OPERATOR),
    (the_first_key_is_another_one, {VERIFY, CHECKPOINT}),
    (a_refusal_is_deleted, {VERIFY}),
    (a_refusal_is_rewritten, {VERIFY}),
    (balances_are_raised, {VERIFY}),
    (the_balance_is_a_view, {VERIFY}),
    (triggers_are_switched_off, {VERIFY}),
]
OF_MORE: Sequence[tuple[Attack, set[str]]] = [
    (the_seals_are_deleted, {SEALER}),
    (the_seals_are_those_of_another_history, ALL),
    (the_whole_host_is_taken, {CHECKPOINT}),
]


def is_seen_by(scene: Scene) -> set[str]:
    """Who sees that something is wrong with the log, or, for `verify`, with anything."""
    seen = set[str]()
    key = scene.key_file.read()
    with suppress(SealerRefused):
        seen |= {VERIFY} if not _verified(scene, trust_in(key.public_key if key else None, scene.seals)) else set()
    with_pin = Verification(SCHEMA, Trust(pinned_notes=(scene.notes[-1],))).check(scene.connection)
    if any("pinned" in finding.reason for finding in with_pin.findings):
        seen.add(CHECKPOINT)
    try:
        Sealer(SCHEMA, scene.key_file, scene.seals, None, lambda: NOW).seal(scene.connection)
    except SealerRefused:
        seen.add(SEALER)
    return seen


def _verified(scene: Scene, trust: Trust) -> bool:
    return Verification(SCHEMA, trust).check(scene.connection).holds


@pytest.mark.parametrize(
    ("attack", "seen_by"),
    [*OF_THE_OWNER_OF_THE_DATABASE, *OF_MORE],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_an_attack_is_seen_by_exactly_those(
    sealed: SealedLedger, tmp_path: Path, attack: Attack, seen_by: set[str]
) -> None:
    with sealed.tampering() as connection:
        scene = Scene.of(sealed, connection, tmp_path)
        assert is_seen_by(scene) == set(), "before"
        attack(scene)
        assert is_seen_by(scene) == seen_by


def witness_key(name: str) -> Signer:
    signer = SigningKey.generate().signer(name)
    return Signer(VerifierKey(name, signer.key.public_key, KeyKind.COSIGNATURE_V1), signer.sign)


def submitted(scene: Scene, seals: Seals, old_size: int) -> Submitted:
    submission = LogReader(SCHEMA, "events", seals).submission(scene.connection, old_size, None)
    assert submission is not None
    return Submitted(submission, Checkpoint.parse(submission.note.text))


def test_a_witness_that_saw_the_first_history_cosigns_no_other(sealed: SealedLedger, tmp_path: Path) -> None:
    """Split view: whoever has the whole host shows one history to one witness and another to another."""
    one, other = witness_key("one.example"), witness_key("other.example")
    with sealed.tampering() as connection:
        scene = Scene.of(sealed, connection, tmp_path)
        trusted = Witnessed((scene.key.signer(scene.newest.origin).key,))
        first = decide(submitted(scene, scene.seals, 0), trusted, one, 1_800_000_000)
        assert isinstance(first, Accepted)
        the_whole_host_is_taken(scene)
        split = decide(submitted(scene, scene.seals, 0), trusted, other, 1_800_000_000)
        assert isinstance(split, Accepted), "this one saw nothing before"
        assert (split.witnessed.size, first.witnessed.size) == (scene.newest.size, scene.newest.size)
        assert split.witnessed.root != first.witnessed.root, "which shows as soon as the two are compared"
        refused = decide(submitted(scene, scene.seals, first.witnessed.size), first.witnessed, one, 1_800_000_001)
        assert not isinstance(refused, Accepted)
        note = str(split.witnessed.note)
        trust = Trust(pinned_notes=(note,), pinned_keys=(str(one.key),))
        found = [finding.reason for finding in Verification(SCHEMA, trust).check(connection).findings]
        assert any("has cosigned no checkpoint" in reason for reason in found), "whoever demands the first witness"
