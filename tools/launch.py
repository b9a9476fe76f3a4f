"""Train by several processes of this machine together: each has its share of the cores, or of the GPUs.

    python -m tools.launch --workers 2 -- --data faces.zip --minutes 20

What comes after -- are the flags of train.py. The processes train one network on one batch, and what they write is what
train.py alone would. Ctrl-C saves and stops them all; the same command goes on from there, and so does train.py alone.
"""

import argparse
import contextlib
import itertools
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

if not __package__:  # run as a file: python tools/launch.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan.cli import in_range, parse_settings, run_command
from gan.cluster import cluster_environments
from gan.errors import UsageError
from gan.signals import STOPS, handle_signals, heeded_stops

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds in which a process has to notice that another has ended
POLL = 0.1


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.launch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=in_range(int, 1, 1024), default=2, metavar="N", help="processes (default: 2)")
    parser.add_argument("flags", nargs="*", metavar="-- FLAG", help="flags of train.py")
    arguments = parser.parse_args(argv)
    given, _ = parse_settings(arguments.flags)  # which exits with code 2 where train.py would
    if (cluster := given.get("cluster", "auto")) != "auto":
        parser.error(f"--cluster {cluster}: the processes of tools.launch are a cluster of their own: leave it out")
    if (batch := given.get("batch_size", 0)) % arguments.workers:
        parser.error(f"--batch-size {batch} cannot be shared equally by {arguments.workers} processes")
    return run_command("launch", lambda: launch(arguments.workers, arguments.flags))


def launch(workers: int, flags: list[str]) -> int:
    """Starts the processes and waits for them. Returns the exit code of the first that failed, in order, or 0.

    Signals are passed on to all. Raises UsageError where TF_CONFIG is set: this is a process of a cluster already.
    """
    if os.environ.get("TF_CONFIG", "").strip():
        raise UsageError("TF_CONFIG is set, so train.py trains with the processes it names: start that, or unset it.")
    environments = cluster_environments(workers)
    cores, gpus = share_cores(workers), share_gpus(workers, parse_settings(flags)[0].get("devices", "auto"))
    processes, received = [], []

    def pass_on(number, frame):
        received.append(number)
        for process in processes:
            if os.name == "posix" and process.poll() is None:  # Windows passes it on by itself
                process.send_signal(number)

    with handle_signals(heeded_stops(), pass_on), end_all(processes):
        for index in range(workers):
            environment = {**os.environ, **environments[index], **gpus[index]}
            processes.append(
                subprocess.Popen(
                    # A session of its own: a terminal's Ctrl-C would reach it a second time, and end it without saving.
                    [sys.executable, str(ROOT / "train.py"), *flags], env=environment, start_new_session=True,
                    preexec_fn=cores[index],
                )
            )  # fmt: skip
        if received:  # while processes were being started: the later ones have not had the signal
            pass_on(received[0], None)
        codes = wait(processes)
    if received and any(codes):
        return 128 + received[0]
    return next((code if code > 0 else 1 for code in codes if code), 0)


@contextlib.contextmanager
def end_all(processes: list[subprocess.Popen]) -> Iterator[None]:
    """Kills all processes where the block raises, as where one of them cannot be started."""
    try:
        yield
    except BaseException:
        for process in processes:
            process.kill()
            process.wait()
        raise


def wait(processes: list[subprocess.Popen]) -> list[int]:
    """Waits for all processes, and returns their exit codes. Where one fails, the others have `PATIENCE` to end."""
    fine = {None, 0, *(128 + number for number in STOPS)}
    failed_at, are_running = None, True
    while are_running:
        are_running = any(process.poll() is None for process in processes)
        if failed_at is None and (failed := [i for i, each in enumerate(processes) if each.poll() not in fine]):
            failed_at = time.monotonic()
            print(f"launch: process {failed[0]} {describe_end(processes[failed[0]].returncode)}", file=sys.stderr)
        if failed_at is not None and time.monotonic() - failed_at > PATIENCE:
            print(f"launch: {PATIENCE:g} s later, the others are ended", file=sys.stderr)
            for process in processes:
                process.kill()
            failed_at = math.inf
        if are_running:
            time.sleep(POLL)
    return [process.returncode for process in processes]


def describe_end(code: int) -> str:
    """Says how a process ended that has a given exit code, which is minus the number of a signal."""
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by signal {-code}{': memory may have been exhausted' if code == -9 else ''}"


def share_cores(workers: int) -> list[Callable | None]:
    """Functions that bind a new process to its share of the cores; None where there are too few, or no way to."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []  # Linux alone has it
    if len(cores) < workers:
        return [None] * workers
    shares = [cores[i * len(cores) // workers : (i + 1) * len(cores) // workers] for i in range(workers)]
    return [lambda share=share: os.sched_setaffinity(0, share) for share in shares]


def share_gpus(workers: int, devices: str = "auto") -> list[dict[str, str]]:
    """What each process needs in its environment to use its share of the GPUs, the same number for each.

    Nothing where there are none, or --devices is of the CPU. Raises UsageError where there are fewer GPUs than
    processes.
    """
    gpus = [] if devices.startswith("cpu:") else list_gpus()
    if not gpus:
        return [{}] * workers
    each = len(gpus) // workers  # all processes need the same number
    if not each:
        are = "is" if len(gpus) == 1 else "are"
        raise UsageError(
            f"--workers {workers}: each process needs a GPU of its own, and there {are} only {len(gpus)}. With the"
            " environment variable CUDA_VISIBLE_DEVICES=-1 all train on the CPU."
        )
    shares = [gpus[i * each : (i + 1) * each] for i in range(workers)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(share)} for share in shares]


def list_gpus() -> list[str]:
    """The GPUs that may be used, as CUDA_VISIBLE_DEVICES names them."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        listed = (one.strip() for one in visible.split(","))
        return [*itertools.takewhile(lambda one: one and not one.startswith("-"), listed)]  # as CUDA reads it
    if os.name == "nt" or not shutil.which("nvidia-smi"):  # on Windows, TensorFlow uses none
        return []
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return []
    return [str(i) for i, line in enumerate(done.stdout.splitlines()) if line.startswith("GPU ")]


if __name__ == "__main__":
    sys.exit(main())
