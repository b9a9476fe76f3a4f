import functools
import io

import pytest
from rich.console import Console
from rich.progress import Progress

from gan import progress


class Clock:
    """A clock whose time the test sets."""

    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of `gan.progress`, at 100 s."""
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lines(clock, capsys):
    """Prints at most a line every 15 seconds, and one at the end, with the time left at the mean rate so far."""
    with progress.print_lines(1000, 200) as show:
        for now, done in [(101, 210), (114.9, 290), (115, 300), (120, 320), (130, 500), (131, 505), (132, 1000)]:
            clock.now = now
            show(done, f"text {done}")
    assert capsys.readouterr().out.splitlines() == [
        "300/1,000  text 300  left 1:45",  # 100 steps in 15 s, 700 to go: 105 s
        "500/1,000  text 500  left 0:50",  # 300 steps in 30 s, 500 to go
        "1,000/1,000  text 1000  left 0:00",
    ]


def test_a_last_step_that_ends_late(clock, capsys):
    """No time is left where a training of a certain time has taken longer."""
    with progress.print_lines(60, 0, " s") as show:
        clock.now = 164.0
        show(64, "text")
    assert capsys.readouterr().out == "64/60 s  text  left 0:00\n"


def test_lines_in_seconds(clock, capsys):
    """A training of a certain time counts seconds, and has their unit."""
    with progress.show_progress(7200.0, 3600.0, " s") as show:
        clock.now = 120.0
        show(3620.4, "text")
    assert capsys.readouterr().out == "3,620/7,200 s  text  left 58:29\n"  # 20.4 s in 20, 3,579.6 to go


def test_line_before_the_first_step(clock, capsys):
    """There is no division by zero when time has passed and no step was done."""
    with progress.print_lines(10, 3) as show:
        clock.now = 120.0
        show(3, "waiting")
    assert capsys.readouterr().out == "3/10  waiting  left 2:20\n"  # as if one step had been done in 20 s


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_line(width):
    """On a terminal one line is updated; it fits in 80 columns, and its last state remains."""
    text = "1,234 img/s loss D 1.23 G 1.23 D(x) 0.53 D(G(z)) 0.50"
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, _environ={})
    with progress.update_line(console, 1000, 200) as show:
        show(300, text.replace("1,234", "999"))
        show(1000, text)
    last = screen.getvalue().splitlines()[-2 if screen.getvalue().splitlines()[-1].startswith("\x1b[?") else -1]
    assert "1,000/1,000" in last and text in last and "0:00:00" in last and "left" in last


class Screen(io.StringIO):
    """A terminal that remembers what it shows."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("screen", "environment", "terminal"),
    [
        (Screen(), {}, True),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, False),
        (Screen(), {"TERM": "dumb"}, False),
    ],
)
def test_output_is_detected(monkeypatch, clock, capsys, screen, environment, terminal):
    """A terminal gets escape codes; a file, a pipe and a terminal that cannot move its cursor get plain text."""
    console = Console(file=screen, width=100, _environ=environment)
    monkeypatch.setattr(progress, "Console", lambda: console)
    with progress.show_progress(10, 0) as show:
        show(10, "done")
    assert ("\x1b[" in screen.getvalue()) is terminal
    assert capsys.readouterr().out == ("" if terminal else "10/10  done  left 0:00\n")


def test_task_in_lines(capsys):
    """Where the output is not a terminal, a task prints a line for each quarter."""
    with progress.track_task("Decoding") as tick:
        for done in range(9):
            tick(done, 8)
        tick(9, 0)  # an unknown total
    assert capsys.readouterr().out.splitlines() == [f"Decoding: {n}%" for n in (25, 50, 75, 100)]


def test_time_left_of_a_task(capsys, monkeypatch):
    """A task that takes long says how long its rest will take."""
    times = iter([100.0, 200.0, 200.0, 200.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    tick = progress.print_quarters("Decoding")
    for done in (1, 3, 4):
        tick(done, 4)
    times = [line.partition("left ")[2] for line in capsys.readouterr().out.splitlines()]
    assert times == ["5:00", "0:33", ""]


def test_task_on_a_terminal(capsys, monkeypatch):
    """On a terminal a task displays a bar, and prints nothing else."""
    screen = Screen()
    terminal = Console(file=screen, force_terminal=True)
    monkeypatch.setattr(progress, "Progress", functools.partial(Progress, console=terminal))
    with progress.track_task("Decoding") as tick:
        tick(1, 8)
        tick(2, 0)  # an unknown total
    assert "Decoding" in screen.getvalue()
    assert capsys.readouterr().out == ""
