"""How long work reports its progress."""

from collections.abc import Callable

ReportProgress = Callable[[str, int, int], None]
"""Takes a stage in words, how much of it is done, and how much there is; 0 and 0 where the stage counts nothing."""


def report_nothing(_stage: str, _done: int, _total: int) -> None:
    """A `ReportProgress` for callers that show no progress."""
