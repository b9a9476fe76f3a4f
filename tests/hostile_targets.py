"""Targets of the fuzzer that do what none of the product's may, and a worker that knows them."""

import contextlib
import ctypes
import os
import time
from pathlib import Path

from benchmarks import fuzz
from benchmarks.fuzz_targets import TARGETS, Target


def allocate(folder):
    """Takes 1.2 GB for a moment."""
    bytearray(1_200_000_000)


def refuse(folder):
    """Raises an error that the target does not name."""
    raise KeyError("no such thing")


def explain(folder):
    """Raises a named error of many pages."""
    raise ValueError("x" * 10_000)


HOSTILE = {
    "right": lambda folder: None,
    "ValueError": lambda folder: int("x"),
    "KeyError": refuse,
    "message": explain,
    "outside": lambda folder: Path("..", "escaped").write_text("x"),
    "left over": lambda folder: Path(fuzz.tempfile.mkdtemp()),
    "code": lambda folder: os.system("true"),
    "executed": lambda folder: Path("executed").touch(),
    "memory": allocate,
    "crash": lambda folder: ctypes.string_at(0),
    "hang": lambda folder: time.sleep(60),
}


def add_hostile():
    """Adds the hostile targets to the table; each reads one small file."""
    for name, enter in HOSTILE.items():
        TARGETS[name] = Target(lambda random: {"file": b"content"}, enter, (ValueError,))


def work(connection, stacks):
    """The fuzzer's worker with these targets, which waits for two seconds only."""
    add_hostile()
    fuzz.SECONDS = 2.0
    with contextlib.suppress(KeyboardInterrupt):
        fuzz.work(connection, stacks)
