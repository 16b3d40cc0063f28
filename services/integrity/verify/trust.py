"""What is known of a ledger from outside its database."""

from msgspec import Struct

from services.integrity.sealing.seals import Seals
from services.integrity.sealing.store import LOGS, LogName
from services.log.keys import VerifierKey


class SealsOfLog(Struct, frozen=True):
    """The seals of one log, oldest first, and how many of them the database is known to have had."""

    notes: tuple[str, ...]
    published: int
    set_aside: tuple[int, ...] = ()
    """The sizes of those that a restore has set aside."""


class Trust(Struct, frozen=True):
    """What is known of the log from outside the database: the key that signs, its first key, seals, witnesses, pins.

    None and empty where nothing is kept here.
    """

    public_key: bytes | None = None
    first_vkey: str | None = None
    seals: dict[LogName, SealsOfLog] = {}
    witnesses: tuple[str, ...] = ()
    """Verifier keys of witnesses that are known here."""
    pinned_keys: tuple[str, ...] = ()
    pinned_notes: tuple[str, ...] = ()
    """Verifier keys and checkpoints that somebody wrote down."""

    @property
    def first_key(self) -> VerifierKey | None:
        """The first key of the log of events, as the seals have it."""
        return None if self.first_vkey is None else VerifierKey.parse(self.first_vkey)


def trust_in(public_key: bytes | None, seals: Seals) -> Trust:
    """What a key and a folder of seals tell. Raises SealerRefused for seals that do not hold in themselves, OSError."""
    life = seals.life()
    if life is None:
        return Trust(public_key)
    published = life.published()
    for log in LOGS:
        life.files[log].read()  # which checks every signature
    kept = {
        log: SealsOfLog(
            tuple(str(note) for note in life.files[log].notes()),
            published.get(log, 0),
            tuple(life.sizes_set_aside(log)),
        )
        for log in LOGS
    }
    return Trust(public_key, str(life.first_key), kept)
