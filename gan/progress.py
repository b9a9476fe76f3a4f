"""Progress of long work: one moving line on a terminal, plain lines elsewhere."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 15.0  # seconds from one plain line to the next


@contextlib.contextmanager
def show_progress(total: float, done: float, unit: str = "") -> Iterator[Callable]:
    """Yields show(done, text), which may be called at any rate; `unit` is that of `done` and `total`."""
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
