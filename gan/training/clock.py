"""The clock of a training: seconds pass while the process runs, not while it is stopped, as by Ctrl-Z.

with handle_signals(clock.SIGNALS, clock.skip_pause):
    start = clock.read()
"""

import signal
import time


class Clock:
    """A clock that is told, by a signal, when a process that was stopped goes on.

    Any thread of the process may receive that signal, while Python runs its handlers in the main thread only. If the
    main thread read the clock in between, the pause would count. So `read` waits `HANDOVER` seconds for the handler
    when the last reading is more than `LONG_GAP` seconds ago.
    """

    SIGNALS = [signal.SIGCONT] if hasattr(signal, "SIGCONT") else []  # Windows stops no processes
    LONG_GAP = 5.0
    HANDOVER = 0.05

    def __init__(self):
        self.last = time.perf_counter()
        self.paused = 0.0

    def read(self) -> float:
        """The seconds since some moment, without pauses."""
        if time.perf_counter() - self.last > self.LONG_GAP:
            time.sleep(self.HANDOVER)
        self.last = time.perf_counter()
        return self.last - self.paused

    def skip_pause(self, number=None, frame=None) -> None:
        """Handles SIGCONT: no time has passed since the clock was last read, as nobody tells when the pause began."""
        now = time.perf_counter()
        self.last, self.paused = now, self.paused + now - self.last


clock = Clock()  # of this process
