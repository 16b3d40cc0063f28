"""Where the files of tests lie: in memory, where the system has room for them there.

A database for each test is some hundred files: on disk, making and dropping them takes most of the time of a test.
"""

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 * 2**30


def prefer_memory() -> None:
    """Make temporary files, of this process and of those that it starts, in memory; TMPDIR says otherwise."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return
    if shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)
