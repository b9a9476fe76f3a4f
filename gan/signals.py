"""Signals: those that end a process, and functions that handle them for a while.

with handle_signals(heeded_stops(), stop):
    ...
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


@contextlib.contextmanager
def handle_signals(numbers: Iterable[int], handler: Callable) -> Iterator[None]:
    """Handles signals by a function until the block ends; in a thread, which Python gives no signals, by none."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in numbers if main}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier or signal.SIG_DFL)  # None: not Python's


def heeded_stops() -> list[int]:
    """Returns the signals of STOPS that this process was not started to ignore, as nohup does with SIGHUP.

    Ctrl-C always counts: a script's shell starts background jobs so that they ignore it, and a person may send it.
    """
    return [number for number in STOPS if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN]


def interrupt(number: int, frame) -> None:
    """Handles a signal as Ctrl-C is: by an exception, whose argument is the signal's number."""
    raise KeyboardInterrupt(int(number))
