"""The clock of a training, while time passes as the test says."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gan.signals import handle_signals
from gan.training import clock

ROOT = Path(__file__).parents[2]


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


def test_a_signal_that_arrives_late(time, monkeypatch):
    """A reading after a long gap waits for a handler that runs a moment later; one after a step does not wait."""
    one = clock.Clock()
    monkeypatch.setattr(clock.time, "sleep", lambda seconds: one.skip_pause())
    start = one.read()
    time[0] += 3600
    assert one.read() == start
    time[0] += one.LONG_GAP / 2
    assert one.read() - start == one.LONG_GAP / 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no SIGSTOP")
@pytest.mark.slow
def test_stopped_among_threads():
    """Eight stops of 0.4 s, each by the system, in a process of many threads: no reading counts one of them."""
    script = """
import os, signal, subprocess, threading, time
from gan.training.clock import Clock
clock = Clock()
clock.LONG_GAP = 0.1
signal.signal(signal.SIGCONT, clock.skip_pause)
def work():
    while True:
        time.sleep(0.001)
for _ in range(64):
    threading.Thread(target=work, daemon=True).start()
longest = 0.0
for _ in range(8):
    start = clock.read()
    subprocess.Popen(["sh", "-c", f"sleep 0.4; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)
    longest = max(longest, clock.read() - start)
print(longest)
os._exit(0)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert float(result.stdout) < 0.3
