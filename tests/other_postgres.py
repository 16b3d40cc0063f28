"""A PostgreSQL that is not the embedded one: another version, from another package, with its own defaults."""

import os
import subprocess
from pathlib import Path

from services.postgres.embedded import EmbeddedPostgres

PROGRAMS = "TEST_POSTGRES_PROGRAMS"
"""The variable that names the folder of its programs, for a run of the whole suite against it."""


def programs_of_a_package() -> Path | None:
    """The programs of the oldest PostgreSQL that Debian's package has put on this machine."""
    return min(Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin"), default=None)


class OtherPostgres(EmbeddedPostgres):
    """A server from a folder of programs. It has the embedded one's owner and life, and nothing of its settings."""

    def __init__(self, data_dir: Path, programs: Path, *options: str) -> None:
        super().__init__(data_dir, scratch=True)
        self._programs = programs
        self._options = options

    def _ensure_cluster(self) -> None:
        self._cluster.mkdir()
        self._account.take(self._cluster)
        command = [
            str(self._programs / "initdb"),
            "-D",
            str(self._cluster),
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        with self._open_log() as log:
            subprocess.run([*command, "--auth=trust", "--no-sync"], check=True, **self._program_options(log))

    def _command(self) -> list[str]:
        options = [f"--unix_socket_directories={self._socket_dir}", "--listen_addresses=", *self._options]
        return [os.fspath(self._programs / "postgres"), "-D", str(self._cluster), *options]
