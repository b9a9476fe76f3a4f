import io

import pytest
from rich.console import Console

from gan import progress


class Clock:
    """A clock that stands until it is moved."""

    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of the plain lines, at 100 s."""
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_plain_lines(clock, capsys):
    """A line each 15 seconds at most and one at the end, with the time left at the rate so far."""
    with progress.print_lines(1000, 200) as show:
        for now, done in [(101, 210), (114.9, 290), (115, 300), (120, 320), (130, 500), (131, 505), (132, 1000)]:
            clock.now = now
            show(done, f"text {done}")
    assert capsys.readouterr().out.splitlines() == [
        "300/1,000  text 300  left 1:45",  # 100 steps in 15 s, 700 to go: 105 s
        "500/1,000  text 500  left 0:50",  # 300 steps in 30 s, 500 to go
        "1,000/1,000  text 1000  left 0:00",
    ]


def test_plain_lines_of_a_run_by_the_clock(clock, capsys):
    """Seconds done and to do, with their unit."""
    with progress.show_progress(7200.0, 3600.0, " s") as show:
        clock.now = 120.0
        show(3620.4, "text")
    assert capsys.readouterr().out == "3,620/7,200 s  text  left 58:29\n"  # 20.4 s in 20, 3,579.6 to go


def test_plain_line_before_the_first_step(clock, capsys):
    """No division by zero when time has passed and no step was done."""
    with progress.print_lines(10, 3) as show:
        clock.now = 120.0
        show(3, "waiting")
    assert capsys.readouterr().out == "3/10  waiting  left 2:20\n"  # as if one step had been done in 20 s


@pytest.mark.parametrize("width", [80, 120])
def test_terminal_line(width):
    """On a terminal one line shows all there is, redrawn in place, in 80 columns too, and the last state stays."""
    text = "1,234 img/s loss D 1.23 G 1.23 D(x) 0.53 D(G(z)) 0.50"
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, _environ={})
    with progress.update_line(console, 1000, 200) as show:
        show(300, text.replace("1,234", "999"))
        show(1000, text)
    last = screen.getvalue().splitlines()[-2 if screen.getvalue().splitlines()[-1].startswith("\x1b[?") else -1]
    assert "1,000/1,000" in last and text in last and "0:00:00" in last and "left" in last


@pytest.mark.parametrize("terminal", [True, False])
def test_line_chooses(monkeypatch, clock, capsys, terminal):
    """Escape codes go to a terminal alone; a file or pipe gets plain text."""
    screen = io.StringIO()
    made = Console(file=screen, force_terminal=terminal, width=100, _environ={})
    monkeypatch.setattr(progress, "Console", lambda: made)
    with progress.show_progress(10, 0) as show:
        show(10, "done")
    assert ("\x1b[" in screen.getvalue()) is terminal
    assert capsys.readouterr().out == ("" if terminal else "10/10  done  left 0:00\n")
