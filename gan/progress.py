"""How far a run is, what is due then, and how it shows: one moving line on a terminal, elsewhere plain lines."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 15.0  # seconds from one plain line to the next
MILESTONES = 20  # moments of a run at which something is due, unless asked otherwise


class RunLength:
    """How far a run is: in iterations, or in seconds of training where `minutes` is not 0."""

    def __init__(self, total: int, minutes: float = 0.0):
        self.total, self.limit = total, 60 * minutes
        self.unit = " s" if minutes else ""

    def share(self, iteration: int, seconds: float) -> float:
        """How much of the run is done, from 0; 1 and above: all."""
        return seconds / self.limit if self.limit else iteration / self.total


class Milestones:
    """The moments at which something is due: every `every` iterations, or, for 0, twenty times a run."""

    def __init__(self, pace: RunLength, every: int, share: float):
        self.pace, self.last = pace, int(MILESTONES * share)
        self.every = every or (0 if pace.limit else max(1, pace.total // MILESTONES))

    def reached(self, iteration: int, seconds: float) -> bool:
        """Whether this iteration is such a moment; to be asked once after each."""
        if self.every:
            return iteration % self.every == 0
        before, self.last = self.last, int(MILESTONES * self.pace.share(iteration, seconds))
        return self.last > before


@contextlib.contextmanager
def show_progress(total: float, done: float, unit: str = "") -> Iterator[Callable]:
    """Yields show(done, text), to be called as often as one likes; `unit` is of `done` and `total`."""
    console = Console()
    with terminal(console, total, done, unit) if console.is_terminal else plain(total, done, unit) as show:
        yield show


@contextlib.contextmanager
def terminal(console: Console, total: float, done: float, unit: str = "") -> Iterator[Callable]:
    """One line that redraws itself, with the time left."""
    bar = [BarColumn(bar_width=20)] if console.width >= 120 else []
    columns = [
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}" + unit), *bar,
        TimeRemainingColumn(), TextColumn("left {task.fields[text]}"),
    ]  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total, completed=done, text=" preparing the first step ...")
        yield lambda done, text: progress.update(task, completed=done, text=text)


@contextlib.contextmanager
def plain(total: float, first: float, unit: str = "") -> Iterator[Callable]:
    """A printed line every few seconds, the last one included."""
    start = shown = time.monotonic()

    def show(done: int, text: str) -> None:
        nonlocal shown
        now = time.monotonic()
        if done < total and now - shown < PLAIN_EVERY:
            return
        shown = now
        left = (now - start) / max(1, done - first) * (total - done)
        print(f"{done:,.0f}/{total:,.0f}{unit}  {text}  left {int(left) // 60}:{int(left) % 60:02d}", flush=True)

    yield show


@contextlib.contextmanager
def track_task(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yields tick(done, total) and shows how far a long task is: a bar on a terminal, else a line every quarter."""
    bar = Progress(transient=True)
    if not bar.console.is_terminal:
        yield functools.partial(quarters, title, [0])
        return
    with bar:
        number = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(number, completed=done, total=total or None)


def quarters(title: str, shown: list[int], done: int, total: int) -> None:
    """Prints how many quarters are done, where they are more than were `shown`."""
    if total and done * 4 // total > shown[0]:
        shown[0] = done * 4 // total
        print(f"{title}: {25 * shown[0]}%", flush=True)
