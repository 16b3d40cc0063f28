"""The errors of the embedded PostgreSQL."""

from pathlib import Path


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL could not run."""


class EmbeddedPostgresInUse(EmbeddedPostgresError):
    """Another owner, process `pid` (None if it has only just taken over), has this server."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        super().__init__(f"The embedded PostgreSQL in {data_dir} is in use by process {pid or '(unknown)'}.")
        self.pid = pid


class NoServerAccount(EmbeddedPostgresError):
    """PostgreSQL does not run as root, and no account could be added: add `pgserver` or run as another."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)
