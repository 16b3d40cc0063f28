"""The folder of a back-up.

base/        the files of the database, as pg_basebackup writes them
wal/         the log of the database behind it, as pg_receivewal writes it; of a back-up that followed
keys/        the key that signs checkpoints, and the key of first start where it was kept in a file
seals/       the seals
backup.json  what it is; written once the base is whole
"""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from services.process.files import write_private_file


class BadBackup(RuntimeError):
    """The folder has no back-up, none that is whole, or one that cannot be restored so."""


class Manifest(Struct, frozen=True):
    """What a back-up is: when and of which schema it was made, and the last position of its base."""

    made_at: datetime
    schema: str
    position: int
    format: Literal[1] = 1


class Archive:
    """The folder of a back-up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base, self.wal = folder / "base", folder / "wal"
        self.keys, self.seals = folder / "keys", folder / "seals"

    def begin(self) -> None:
        """Make the folder. Raises BadBackup where there is something in it, OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            raise BadBackup(f"{self.folder} is not empty: each back-up has a folder of its own")
        self.wal.mkdir(mode=0o700)

    def keep_files(self, keys: list[Path], seals: Path) -> None:
        """Copy keys and seals as they are now. Raises OSError."""
        for path in keys:
            if path.exists():
                write_private_file(self.keys / path.name, path.read_bytes(), may_replace=True)
        if seals.exists():
            shutil.copytree(
                seals, self.seals, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock", "*.unfinished")
            )

    def finish_base(self, manifest: Manifest) -> None:
        """Say that the base is whole. Raises OSError."""
        write_private_file(self.folder / "backup.json", msgspec.json.encode(manifest) + b"\n", may_replace=True)

    def manifest(self) -> Manifest:
        """Read what it is. Raises BadBackup."""
        try:
            return msgspec.json.decode((self.folder / "backup.json").read_bytes(), type=Manifest)
        except FileNotFoundError:
            raise BadBackup(f"{self.folder} has no back-up that is whole: backup.json is missing") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise BadBackup(f"{self.folder / 'backup.json'} cannot be read: {error}") from None
