"""Progress in plain lines: one where a stage begins, and one every other second."""

import io

from rich.console import Console

from services.cli.progress import Lines, progress


def test_lines_show_the_rate_and_the_time_left() -> None:
    output = io.StringIO()
    now = 100.0
    lines = Lines(Console(file=output, width=200), clock=lambda: now)

    for seconds, done in ((100.0, 10), (101.9, 400), (102.0, 500), (103.0, 800), (104.5, 900)):
        now = seconds
        lines.show("Reading events", done, 2_000)
    lines.show("Swapping", 0, 0)

    assert output.getvalue().splitlines() == [
        "Reading events ...",
        "Reading events: 500 of 2,000 (25%), 250/s, 6 s left",
        "Reading events: 900 of 2,000 (45%), 200/s, 6 s left",
        "Swapping ...",
    ]


def test_a_terminal_gets_a_bar() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120)

    with progress(console) as show:
        show("Reading events", 500, 2_000)

    assert "Reading events" in output.getvalue()
    assert "/2,000" in output.getvalue()
