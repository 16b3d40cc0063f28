"""Shows the progress of long work: a bar with rate and time left on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from services.cli.console import err
from services.process.progress import ReportProgress

LINE_SECONDS = 2.0


@contextmanager
def progress(console: Console = err) -> Iterator[ReportProgress]:
    """A function that shows progress while this context lasts, by default on standard error."""
    if not console.is_terminal:
        yield Lines(console).show
        return
    with Bars(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        _Count(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bars:
        yield _Stages(bars).show


class Lines:
    """Prints a line where a stage begins, and one every LINE_SECONDS while it goes on."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._stage = ""
        self._began_at = 0.0
        self._next_line_at = 0.0

    def show(self, stage: str, done: int, total: int) -> None:
        """Print a line, unless one was printed a moment ago."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began_at, self._next_line_at = stage, now, now + LINE_SECONDS
            self._console.print(f"{stage} ...")
        elif now >= self._next_line_at:
            self._next_line_at = now + LINE_SECONDS
            self._console.print(f"{stage}: {self._numbers(done, total, now - self._began_at)}")

    @staticmethod
    def _numbers(done: int, total: int, seconds: float) -> str:
        rate = done / seconds
        left = f", {(total - done) / rate:,.0f} s left" if rate and total else ""
        return (
            f"{done:,} of {total:,} ({done / total:.0%}), {rate:,.0f}/s{left}" if total else f"{done:,}, {rate:,.0f}/s"
        )


class _Stages:
    """Shows the bar of the present stage alone."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._stage = ""
        self._task: TaskID | None = None

    def show(self, stage: str, done: int, total: int) -> None:
        if self._task is None or stage != self._stage:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._stage, self._task = stage, self._bars.add_task(stage, total=total or None)
        self._bars.update(self._task, completed=done)


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        if not task.total:
            return Text("")
        rate = f" {task.speed:,.0f}/s" if task.speed else ""
        return Text(f"{task.completed:,.0f}/{task.total:,.0f}{rate}")
