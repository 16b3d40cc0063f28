"""Writes small files that only their owner can read, whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_private_file(path: Path, content: bytes, *, may_replace: bool) -> None:
    """Write a file with mode 0600, durably, and its folder where that is missing.

    Raises OSError; FileExistsError where there is a file that it may not replace.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # mode 0600
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if may_replace:
            unfinished.replace(path)
        else:
            path.hardlink_to(unfinished)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make durable which files a folder has. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
