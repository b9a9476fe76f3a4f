"""How far a run is: one moving line on a terminal, a plain line now and then elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 15.0  # seconds from one plain line to the next


@contextlib.contextmanager
def line(total: int, done: int) -> Iterator[Callable]:
    """Yields show(done, text), to be called as often as one likes."""
    console = Console()
    with terminal(console, total, done) if console.is_terminal else plain(total, done) as show:
        yield show


@contextlib.contextmanager
def terminal(console: Console, total: int, done: int) -> Iterator[Callable]:
    """One line that redraws itself, with the time left."""
    bar = [BarColumn(bar_width=20)] if console.width >= 120 else []
    columns = [
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"), *bar,
        TimeRemainingColumn(), TextColumn("left {task.fields[text]}"),
    ]  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total, completed=done, text=" preparing the first step ...")
        yield lambda done, text: progress.update(task, completed=done, text=text)


@contextlib.contextmanager
def plain(total: int, first: int) -> Iterator[Callable]:
    """A printed line every few seconds, the last one included."""
    start = shown = time.monotonic()

    def show(done: int, text: str) -> None:
        nonlocal shown
        now = time.monotonic()
        if done < total and now - shown < PLAIN_EVERY:
            return
        shown = now
        left = (now - start) / max(1, done - first) * (total - done)
        print(f"{done:,}/{total:,}  {text}  left {int(left) // 60}:{int(left) % 60:02d}", flush=True)

    yield show
