"""Signals: handlers that hold for a block, and which signals end a process."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from gan.signals import handle_signals, heeded_stops


def test_handlers_of_signals():
    """They hold until the block ends, whatever ends it, and in a thread there are none."""
    before, received = signal.getsignal(signal.SIGTERM), []
    with pytest.raises(ValueError, match="mine"), handle_signals([signal.SIGTERM], lambda *_: received.append(1)):
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("mine")
    assert received == [1] and signal.getsignal(signal.SIGTERM) is before

    def handle():
        with handle_signals([signal.SIGTERM], print):
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(handle).result() is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_ignored_signals_are_not_heeded():
    """Under nohup a hang-up does not count; Ctrl-C does, however the process was started."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        assert heeded_stops() == [signal.SIGINT, signal.SIGTERM]
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert heeded_stops() == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
