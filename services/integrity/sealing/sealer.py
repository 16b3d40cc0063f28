"""Signs what extends its seals, and nothing else. Connections are in autocommit mode."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct
from psycopg import Connection

from services.integrity.sealing.entries import BadEntry, Entries, EventEntries, RefusalEntries
from services.integrity.sealing.growth import Growth
from services.integrity.sealing.refusing import Reason, SealerRefused
from services.integrity.sealing.seals import Life, Sealed, Seals, key_of, origin_of
from services.integrity.sealing.store import EVENTS, LOGS, LogName, LogStore, SealingStates
from services.integrity.signing import KeyFile, SigningKey
from services.log.checkpoint import SIZE_LIMIT, BadCheckpoint, Checkpoint, open_checkpoint
from services.log.keys import Signer, VerifierKey
from services.log.note import Note, UnverifiedNote
from services.log.reading import MissingTiles, read_consistency_proof, read_root
from services.log.succession import follow
from services.log.tree import is_consistent

LEAVES_A_CHECKPOINT = 500_000
MENDING = "`tallystick checkpoint --adopt FILE` goes on from a note of this ledger, `--new-ledger` begins again"


class _Parts(Struct, frozen=True):
    """What one log is sealed with."""

    store: LogStore
    entries: Entries
    growth: Growth


class _Extension(Struct, frozen=True):
    """A note that was signed, or None where nothing is new; and whether there may be more, in catch-up."""

    note: Note | None
    is_cut: bool = False


class Sealer:
    """Makes the checkpoints of one schema with the key of a file and the seals of a folder."""

    def __init__(
        self, schema: str, key_file: KeyFile, seals: Seals, origin: str | None, clock: Callable[[], datetime]
    ) -> None:
        self._key_file = key_file
        self._seals = seals
        self._origin = origin
        self._clock = clock
        self._states = SealingStates(schema)
        self._parts: dict[LogName, _Parts] = {}
        entries: tuple[Entries, ...] = (EventEntries(schema), RefusalEntries(schema))
        for each in entries:
            store = LogStore(schema, each.log)
            self._parts[each.log] = _Parts(store, each, Growth(store, each))

    def seal(self, connection: Connection[Any], is_stopped: Callable[[], bool] = lambda: False) -> list[Note]:
        """Sign what is new, and return the notes of the log of events that are, oldest first.

        In catch-up there is a checkpoint every LEAVES_A_CHECKPOINT, after each of which it can be stopped.

        Raises SealerRefused, SealerBusy, NoSigningKey, OSError, psycopg.Error.
        """
        notes: list[Note] = []
        has_more = True
        while has_more:
            with self._seals.locked():
                life, key = self._open(connection)
                made = {log: self._extend(connection, life, log, key) for log in LOGS}
            if (note := made[EVENTS].note) is not None:
                notes.append(note)
            has_more = any(each.is_cut for each in made.values()) and not is_stopped()
        return notes

    def rotate(self, connection: Connection[Any]) -> Note:
        """Let a new key sign from now on; the old one vouches for it and is deleted. Raises as `seal` does."""
        with self._seals.locked():
            life, key = self._open(connection)
            next_key = self._key_file.stage()
            for log in LOGS:
                self._extend(connection, life, log, key)
                self._hand_over(connection, life, log, key, next_key)
            self._key_file.adopt()
            return _newest(life)

    def begin_again(self, connection: Connection[Any]) -> Note:
        """Begin a new log with a new origin and key over what is recorded; the old key signs its first note too.

        Raises as `seal` does.
        """
        with self._seals.locked():
            old_key, key = self._key_file.read(), self._key_file.stage()
            old_life = self._seals.life()
            tree = self._parts[EVENTS].store.tree(connection)
            old_origin = old_life.origin if old_life else tree.origin if tree else None
            origin = _new_origin() if self._origin in (None, old_origin) else str(self._origin)
            notes = []
            for log, parts in self._parts.items():
                parts.store.begin(connection, origin_of(origin, log))
                checkpoint = self._checkpoint(connection, log, origin_of(origin, log))
                signers = [key.signer(checkpoint.origin)]
                if old_key is not None and old_origin is not None:
                    signers.append(old_key.signer(origin_of(old_origin, log)))
                notes.append((log, checkpoint.signed_by(*signers)))
            life = self._seals.begin(key.signer(origin).key, notes)
            self._key_file.adopt()
            self._states.set_witnessed_size(connection, None)
            for log, _ in notes:
                self._publish(connection, life, log)
            return _newest(life)

    def adopt(self, connection: Connection[Any], note: Note) -> Note:
        """Go on from a note of this ledger, where the seals are gone or older. Raises as `seal` does.

        The key that is here must be one to which the note's key leads by hand-overs.
        """
        with self._seals.locked():
            key = self._key_file.read()
            if key is None:
                there = f"the key that signs is not in {self._key_file.path}"
                raise SealerRefused(Reason.OTHER_KEY, f"{there}: put it back, or begin again with `--new-ledger`")
            first_key, notes = self._adopted(connection, note, key)
            life = self._seals.begin(first_key, notes)
            for log in LOGS:
                life.set_published(log, sum(each == log for each, _ in notes))
            self._open(connection)
            for log in LOGS:
                self._extend(connection, life, log, key)
            return _newest(life)

    def signer(self) -> Signer:
        """The key that signs now, for notes that are no checkpoints. Raises SealerRefused, NoSigningKey, OSError."""
        key, life = self._key_file.read(), self._seals.life()
        newest = life.files[EVENTS].peek() if life else None
        if key is None or life is None or newest is None or not newest.is_signed_by(key.signer(life.origin).key):
            raise SealerRefused(Reason.OTHER_KEY, f"the key in {self._key_file.path} is not the one that signed last")
        return key.signer(life.origin)

    def newest(self) -> Note | None:
        """The newest note of the seals; None where nothing was sealed here. Raises SealerRefused, OSError."""
        life = self._seals.life()
        return life.files[EVENTS].read().newest if life else None

    def _open(self, connection: Connection[Any]) -> tuple[Life, SigningKey]:
        """Check that the database, the seals and the key belong together; begin where there is nothing yet."""
        life = self._seals.life()
        if life is None:
            life = self._begin(connection)
        if sizes := [size for log in LOGS for size in life.sizes_set_aside(log)]:
            raise SealerRefused(
                Reason.SMALLER_TREE,
                f"the ledger was restored to before {len(sizes)} seals, the newest over {max(sizes):,}: "
                "`tallystick checkpoint --new-ledger` begins a new log",
            )
        if self._origin not in (None, life.origin):
            raise SealerRefused(
                Reason.OTHER_LEDGER, f"TALLYSTICK_LOG_ORIGIN is {self._origin}, and the log's origin is {life.origin}"
            )
        for log, parts in self._parts.items():
            origin, tree = origin_of(life.origin, log), parts.store.tree(connection)
            if tree is None and life.files[log].read().count == 0:
                parts.store.begin(connection, origin)
            elif tree is None or tree.origin != origin:
                there = "of no log" if tree is None else f"of the log {tree.origin}"
                raise SealerRefused(
                    Reason.OTHER_LEDGER, f"the database is {there}, and the seals here are of {origin}: {MENDING}"
                )
            self._check_stored(connection, life, log)
        return life, self._key(connection, life)

    def _begin(self, connection: Connection[Any]) -> Life:
        for log, parts in self._parts.items():
            if parts.store.latest(connection) is not None:
                raise SealerRefused(
                    Reason.NO_SEALS, f"the log of {log} has checkpoints, and {self._seals.folder} no seals: {MENDING}"
                )
        tree = self._parts[EVENTS].store.tree(connection)
        origin = tree.origin if tree else self._origin or _new_origin()
        return self._seals.begin(self._key_file.read_or_make().signer(origin).key)

    def _check_stored(self, connection: Connection[Any], life: Life, log: LogName) -> None:
        """Check that the newest stored note is the newest seal; store that where a crash came between."""
        sealed, stored = life.files[log].read(), self._parts[log].store.latest(connection)
        is_of_life = stored is not None and stored.origin == origin_of(life.origin, log)
        texts = [str(note) for note in sealed.last]
        if stored is not None and texts and stored.signed_note == texts[-1]:
            return
        may_be_behind = sealed.count > life.published().get(log, 0)
        behind = texts[-2] if len(texts) > 1 else None
        if may_be_behind and (stored.signed_note if stored and is_of_life else None) == behind:
            self._publish(connection, life, log)
            return
        newest = sealed.newest_checkpoint
        if newest is None:
            if stored is None or not is_of_life:
                return
            reason, there = Reason.NO_SEALS, f"one of size {stored.size}, and no seal is here"
        elif stored is None:
            reason, there = Reason.NO_CHECKPOINT, f"none, and the newest seal has size {newest.size}"
        else:
            reason = Reason.OTHER_CHECKPOINT
            there = f"one of size {stored.size} that is not the newest seal, of size {newest.size}"
        raise SealerRefused(reason, f"the newest checkpoint of {log} in the database is {there}: {MENDING}")

    def _key(self, connection: Connection[Any], life: Life) -> SigningKey:
        """The key to which the seals lead; a hand-over that was cut short is brought to its end."""
        sealed = {log: life.files[log].read() for log in LOGS}
        key, staged = self._key_file.read(), self._key_file.read_staged()
        currents = {log: each.succession.current.public_key for log, each in sealed.items()}
        if key is not None and set(currents.values()) == {key.public_key}:
            return key
        if key is not None and staged is not None and set(currents.values()) <= {key.public_key, staged.public_key}:
            for log in (log for log in LOGS if currents[log] == key.public_key):
                self._hand_over(connection, life, log, key, staged)
            self._key_file.adopt()
            return staged
        lets = sealed[EVENTS].succession.current
        there = "no key" if key is None else f"another one, {key.signer(lets.name).key}"
        raise SealerRefused(
            Reason.OTHER_KEY, f"the newest seal lets {lets} sign, and in {self._key_file.path} is {there}: {MENDING}"
        )

    def _extend(self, connection: Connection[Any], life: Life, log: LogName, key: SigningKey) -> _Extension:
        """Sign the tree as it is by now, if that extends the newest seal, by LEAVES_A_CHECKPOINT at most."""
        sealed = life.files[log].read()
        before = sealed.newest_checkpoint
        at_most = (before.size if before else 0) + LEAVES_A_CHECKPOINT
        checkpoint = self._checkpoint(connection, log, origin_of(life.origin, log), before, at_most=at_most)
        if before is not None and checkpoint.size == before.size:
            return _Extension(None)
        note = checkpoint.signed_by(key.signer(checkpoint.origin))
        life.files[log].append(note)
        self._publish(connection, life, log)
        return _Extension(note, checkpoint.size >= at_most)

    def _checkpoint(
        self,
        connection: Connection[Any],
        log: LogName,
        origin: str,
        before: Checkpoint | None = None,
        *,
        at_most: int = SIZE_LIMIT,
    ) -> Checkpoint:
        """The checkpoint of what is recorded by now, up to a size, proven to extend another one."""
        parts = self._parts[log]
        tiles = parts.store.tiles(connection)
        try:
            size = parts.growth.grow(connection, at_most=at_most)
            if before is not None and size < before.size:
                raise SealerRefused(
                    Reason.SMALLER_TREE, f"there are {size} {log}, and the newest seal covers {before.size}: {MENDING}"
                )
            checkpoint = Checkpoint(origin, size, read_root(tiles, size))
            proof = read_consistency_proof(tiles, before.size, size) if before else []
        except BadEntry as error:
            raise SealerRefused(Reason.BAD_ENTRY, str(error)) from None
        except MissingTiles as error:
            raise SealerRefused(Reason.OTHER_TREE, f"{error}: {MENDING}") from None
        if before and not is_consistent(before.size, size, proof, before.root, checkpoint.root):
            raise SealerRefused(
                Reason.OTHER_TREE, f"the tree of {log} does not begin with that of the newest seal: {MENDING}"
            )
        return checkpoint

    def _hand_over(
        self, connection: Connection[Any], life: Life, log: LogName, key: SigningKey, next_key: SigningKey
    ) -> None:
        sealed = life.files[log].read()
        checkpoint = sealed.newest_checkpoint or self._checkpoint(connection, log, origin_of(life.origin, log))
        signer, next_signer = key.signer(checkpoint.origin), next_key.signer(checkpoint.origin)
        bare = Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root)
        life.files[log].append(bare.handing_over_to(next_signer.key).signed_by(signer, next_signer))
        self._publish(connection, life, log)

    def _publish(self, connection: Connection[Any], life: Life, log: LogName) -> None:
        """Store the newest seal in the database, and say so beside the seals."""
        sealed, store = life.files[log].read(), self._parts[log].store
        assert sealed.newest is not None, "something was sealed"
        with connection.transaction():
            store.insert(connection, sealed.newest, self._clock())
            store.put_keys(connection, sealed.succession)
        life.set_published(log, sealed.count)

    def _adopted(
        self, connection: Connection[Any], note: Note, key: SigningKey
    ) -> tuple[VerifierKey, list[tuple[LogName, Note]]]:
        """The first key and the notes of seals that begin with a note, and go on to the newest stored ones."""
        store = self._parts[EVENTS].store
        try:
            checkpoint = Checkpoint.parse(note.text)
            keys = store.keys(connection, checkpoint.origin)
            own = key.signer(checkpoint.origin).key
            candidates = [*keys, *([] if own in keys else [own])]
            open_checkpoint(note, candidates)
            verified = note.verified_by(candidates)
        except (UnverifiedNote, BadCheckpoint) as error:
            raise SealerRefused(Reason.OTHER_LEDGER, f"the note is none of this ledger: {error}") from None
        bare = Note(note.text, tuple(each for each in note.signatures if any(map(each.is_named_by, verified))))
        notes: list[tuple[LogName, Note]] = []
        for log in LOGS:
            notes += [(log, each) for each in self._followed(connection, log, checkpoint, bare, verified[0])]
        return verified[0], notes

    def _followed(
        self, connection: Connection[Any], log: LogName, checkpoint: Checkpoint, note: Note, first_key: VerifierKey
    ) -> list[Note]:
        """The notes of one log from the adopted one on: hand-overs, and the newest stored note."""
        store, origin = self._parts[log].store, origin_of(checkpoint.origin, log)
        tree, latest = store.tree(connection), store.latest(connection)
        if tree is None or tree.origin != origin or latest is None or latest.origin != origin:
            raise SealerRefused(Reason.OTHER_LEDGER, f"the database has no log {origin}")
        hand_overs = [Note.parse(each.signed_note) for each in store.hand_overs(connection, origin)]
        begin: list[Note] = []
        if log == EVENTS:
            tiles = store.tiles(connection)
            try:
                is_same = tree.size >= checkpoint.size and read_root(tiles, checkpoint.size) == checkpoint.root
            except MissingTiles as error:
                raise SealerRefused(Reason.OTHER_TREE, str(error)) from None
            if not is_same:
                raise SealerRefused(Reason.OTHER_TREE, "the ledger's tree does not begin with that of the note")
            begin = [note]
        [succession] = follow([key_of(first_key, log)], hand_overs)
        followed = [each for each in hand_overs if Checkpoint.parse(each.text).next_key in succession.keys[1:]]
        notes = [*begin, *(each for each in followed if each not in begin)]
        newest = Note.parse(latest.signed_note)
        return [*(each for each in notes if each != newest), newest]


def _newest(life: Life) -> Note:
    newest: Sealed = life.files[EVENTS].read()
    assert newest.newest is not None, "something was sealed"
    return newest.newest


def _new_origin() -> str:
    return f"tallystick/{secrets.token_hex(16)}"
