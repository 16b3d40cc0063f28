"""`tallystick serve` as a process tree that can be killed and started again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from tests.processes import Tallystick, running

KEY = "a-key-with-every-scope-for-tests-of-faults"


class Service:
    """`tallystick serve` on a data directory of its own."""

    def __init__(self, data_dir: Path, workers: int, **settings: object) -> None:
        self.data_dir = data_dir
        self._settings = {"bootstrap_key": KEY, "workers": workers, **settings}
        self._processes = ExitStack()
        self._serve: Tallystick | None = None

    @property
    def url(self) -> str:
        """Address of the service that was started last."""
        assert self._serve is not None
        return self._serve.url

    def start(self) -> None:
        """Start it, and return when it answers."""
        service = running("serve", folder=self.data_dir, port=None, stderr=None, **self._settings)
        serve = self._processes.enter_context(service)
        serve.page("/readyz")
        self._serve = serve

    def kill(self) -> None:
        """Kill it and everything that it has started, without a warning."""
        assert self._serve is not None
        self._serve.kill()

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Keep it running, or running again, until the end, when it stops as an operator stops it."""
        with self._processes:
            self.start()
            yield self
            assert self._serve is not None
            self._serve.stop()
