"""The clock of a training, while time passes as the test says."""

import os
import signal

import pytest

from gan.cli import handle_signals
from gan.training import clock


@pytest.fixture
def time(monkeypatch):
    """A list whose only item is the time that the system's clock shows."""
    now = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    return now


def test_pauses_do_not_count(time):
    """10 s pass, then 3,600 s in which the process is stopped for some time, then 5 s: 15 s, and 1 s after another."""
    one = clock.Clock()
    start = one.read()
    time[0] += 10
    assert one.read() - start == 10
    time[0] += 3600
    one.skip_pause()
    time[0] += 5
    assert one.read() - start == 15
    for _ in range(2):  # two pauses from one reading to the next
        time[0] += 60
        one.skip_pause()
    time[0] += 1
    assert one.read() - start == 16


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGCONT")
def test_the_signal(time):
    """SIGCONT, which the system sends when a process goes on, skips the pause."""
    one = clock.Clock()
    with handle_signals(one.SIGNALS, one.skip_pause):
        time[0] += 3600
        signal.raise_signal(signal.SIGCONT)
        time[0] += 2
    assert one.read() == 102
