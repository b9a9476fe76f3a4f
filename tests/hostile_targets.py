"""Targets of the fuzzer that do what none of the product's may, and a worker that knows them."""

import ctypes
import functools
import os
import tempfile
import time
from pathlib import Path

from benchmarks import fuzz_worker
from benchmarks.fuzz_targets import TARGETS
from benchmarks.fuzz_targets.target import Target


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
    "left over": lambda folder: tempfile.mkdtemp(),
    "code": lambda folder: os.system("true"),
    "executed": lambda folder: Path("executed").touch(),
    "memory": allocate,
    "crash": lambda folder: ctypes.string_at(0),
    "hang": lambda folder: time.sleep(1000),
}


def make(name, random):
    """One small file. Sets how long the fuzzer waits: long, as the machine may be busy, but not for what hangs."""
    fuzz_worker.SECONDS = 0.5 if name == "hang" else 100.0
    return {"file": b"content"}


def add_hostile():
    """Adds the hostile targets to the table."""
    for name, enter in HOSTILE.items():
        TARGETS[name] = Target(functools.partial(make, name), enter, (ValueError,))


def work(connection, stacks):
    """The fuzzer's worker with these targets."""
    add_hostile()
    fuzz_worker.work(connection, stacks)
