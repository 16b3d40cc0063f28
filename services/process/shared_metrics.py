"""Adds the metrics of the processes that share a socket: whichever is asked answers for all of them.

Each process writes its numbers to a file of its own in a folder of the service, twice a second. Counters of a process
that has ended stay, so that sums never fall; its gauges go.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct
from prometheus_client import Metric
from prometheus_client.registry import Collector

WRITE_SECONDS = 0.5
_NOT_ADDED = ("_info", "_time_seconds")
"""How the names of gauges end that are not added, of which the largest is shown."""

log = structlog.get_logger()

Labels = tuple[tuple[str, str], ...]


class _Family(Struct, frozen=True, array_like=True):
    name: str
    documentation: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


_DECODER = msgspec.json.Decoder(list[_Family])


class SharedMetrics(Collector):
    """The metrics of this process, added to those of the others in the folder; without a folder, its own."""

    def __init__(self, own: Collector, folder: Path | None) -> None:
        self._own = own
        self._folder = folder
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to write, if there is a folder."""
        if self._folder is not None:
            self._thread.start()

    def close(self) -> None:
        """Write a last time, and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def describe(self) -> Iterator[Metric]:
        """Describe nothing, so that registering it reads no file."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield this process's metrics as of now, and add those of the others as they wrote them last."""
        return _sums([_families(self._own), *self._others()])

    def _others(self) -> Iterator[list[_Family]]:
        if self._folder is None:
            return
        for file in self._folder.glob("*.json"):
            if file.stem == str(os.getpid()):
                continue
            try:
                families = _DECODER.decode(file.read_bytes())
            except (OSError, msgspec.DecodeError) as error:
                log.warning("the metrics of a process cannot be read", file=str(file), error=repr(error))
                continue
            is_alive = _is_alive(int(file.stem))
            yield [each for each in families if is_alive or each.kind != "gauge"]

    def _run(self) -> None:
        while not self._stopping.wait(WRITE_SECONDS):
            self._write()
        self._write()

    def _write(self) -> None:
        assert self._folder is not None
        file = self._folder / f"{os.getpid()}.json"
        unfinished = file.with_suffix(".new")
        try:
            unfinished.write_bytes(msgspec.json.encode(_families(self._own)))
            unfinished.replace(file)
        except OSError as error:
            log.warning("the metrics of this process cannot be written", error=repr(error))


def _families(own: Collector) -> list[_Family]:
    """Return what a collector has, but for the instants at which its counters were made, which do not add up."""
    return [
        _Family(
            each.name,
            each.documentation,
            each.type,
            [(s.name, dict(s.labels), s.value) for s in each.samples if not s.name.endswith("_created")],
        )
        for each in own.collect()
    ]


def _sums(processes: Iterable[list[_Family]]) -> Iterator[Metric]:
    """Add samples of the same name and labels."""
    metrics: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, Labels], float]] = {}
    for family in (family for families in processes for family in families):
        metrics.setdefault(family.name, Metric(family.name, family.documentation, family.kind))
        of_family = values.setdefault(family.name, {})
        is_added = not (family.kind == "gauge" and family.name.endswith(_NOT_ADDED))
        for name, labels, value in family.samples:
            place = name, tuple(sorted(labels.items()))
            before = of_family.get(place, 0.0)
            of_family[place] = before + value if is_added else max(before, value)
    for name, metric in metrics.items():
        for (sample, labels_of_sample), value in values[name].items():
            metric.add_sample(sample, dict(labels_of_sample), value)
        yield metric


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
