"""Progress in plain lines: where a stage begins, and every other second how far it is."""

import io

from rich.console import Console

from services.cli.progress import Lines, progress


def test_lines_tell_the_rate_and_the_time_left() -> None:
    written = io.StringIO()
    now = 100.0
    lines = Lines(Console(file=written, width=200), clock=lambda: now)

    for seconds, done in ((100.0, 10), (101.9, 400), (102.0, 500), (103.0, 800), (104.5, 900)):
        now = seconds
        lines.show("Reading events", done, 2_000)
    lines.show("Swapping", 0, 0)

    assert written.getvalue().splitlines() == [
        "Reading events ...",
        "Reading events: 500 of 2,000 (25%), 250/s, 6 s left",
        "Reading events: 900 of 2,000 (45%), 200/s, 6 s left",
        "Swapping ...",
    ]


def test_a_terminal_gets_a_bar() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=120)

    with progress(console) as show:
        show("Reading events", 500, 2_000)

    assert "Reading events" in written.getvalue()
    assert "/2,000" in written.getvalue()
