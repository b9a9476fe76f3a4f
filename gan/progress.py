"""Progress of long tasks: one line that is updated on a terminal, a few plain lines elsewhere.

with track_task("Decoding faces.zip") as tick:
    tick(done, total)
"""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 15.0  # where the output is not a terminal


@contextlib.contextmanager
def show_progress(total: float, done: float, unit: str = "") -> Iterator[Callable]:
    """Displays the progress of a training, with the time left.

    Arguments:
        total: what `done` is at the end.
        done: what it is at the start.
        unit: the unit of both, such as " s"; "" for iterations.

    Yields:
        A function show(done, text), which may be called at any rate.
    """
    console = Console()
    with update_line(console, total, done, unit) if can_update(console) else print_lines(total, done, unit) as show:
        yield show


def can_update(console: Console) -> bool:
    """Whether a line that is printed can be updated; FORCE_COLOR makes a terminal of a file, for colors alone."""
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


@contextlib.contextmanager
def update_line(console: Console, total: float, done: float, unit: str = "") -> Iterator[Callable]:
    """Like `show_progress`, on a terminal."""
    bar = [BarColumn(bar_width=20)] if console.width >= 120 else []
    columns = [
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}" + unit), *bar,
        TimeRemainingColumn(), TextColumn("left {task.fields[text]}"),
    ]  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total, completed=done, text=" preparing the first step ...")
        yield lambda done, text: progress.update(task, completed=done, text=text)


@contextlib.contextmanager
def print_lines(total: float, first: float, unit: str = "") -> Iterator[Callable]:
    """Like `show_progress`, not on a terminal: prints a line every `SECONDS_BETWEEN_LINES`, and one at the end."""
    start = printed = time.monotonic()

    def show(done: int, text: str) -> None:
        nonlocal printed
        now = time.monotonic()
        if done < total and now - printed < SECONDS_BETWEEN_LINES:
            return
        printed = now
        left = max(0, int((now - start) / max(1, done - first) * (total - done)))  # the last step may end late
        print(f"{done:,.0f}/{total:,.0f}{unit}  {text}  left {format_time(left)}", flush=True)

    yield show


@contextlib.contextmanager
def track_task(title: str) -> Iterator[Callable[[int, int], None]]:
    """Displays the progress of a task, with the time left: a bar on a terminal, else a line for each quarter.

    Yields tick(done, total).
    """
    bar = Progress(transient=True)
    if not can_update(bar.console):
        yield print_quarters(title)
        return
    with bar:
        number = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(number, completed=done, total=total or None)


def print_quarters(title: str) -> Callable[[int, int], None]:
    """Returns tick(done, total), which prints each quarter of a task once, and the time left if it is a second or more.

    The task begins now.
    """
    start, printed = time.monotonic(), 0

    def tick(done: int, total: int) -> None:
        nonlocal printed
        if total and done * 4 // total > printed:
            printed = done * 4 // total
            left = int((time.monotonic() - start) / done * (total - done))
            print(f"{title}: {25 * printed}%{f', left {format_time(left)}' if left > 0 else ''}", flush=True)

    return tick


def format_time(seconds: int) -> str:
    """Formats seconds as minutes and seconds: 1:05."""
    return f"{seconds // 60}:{seconds % 60:02d}"
