"""Kill one of two processes that train together, at random moments: the other has to end, and the run to go on.

    python -m benchmarks.worker_kills --out FOLDER --kills 20

Each round starts the same command in two processes on this machine, and kills one of them (SIGKILL) at a random moment:
while it starts, trains, scores or saves. The other has to end by itself within a minute, with a line that says why. The
next round goes on with the same run. At the end it is finished, and every weight has to equal, to the bit, that of a
run in two processes which nobody killed.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.crash_loop import THREADS, TINY
from gan.cli import in_range, path_argument, run_command
from gan.cluster import cluster_environments
from gan.errors import RunError
from gan.runs import checkpoints
from gan.training.distribution import ENDED

ROOT = Path(__file__).parent.parent
SECONDS = 60.0  # in which the other process has to end
START_SECONDS = 8.0  # about what it takes until the first step


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker_kills", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=path_argument, required=True, metavar="FOLDER", help="folder to work in")
    parser.add_argument("--kills", type=in_range(int, 1), default=20, metavar="N", help="how often (default: 20)")
    parser.add_argument("--seed", type=in_range(int, 0), default=0, metavar="N", help="of the moments (default: 0)")
    arguments = parser.parse_args(argv)
    return run_command("worker_kills", lambda: kill(Path(arguments.out), arguments.kills, arguments.seed))


def kill(out: Path, kills: int, seed: int) -> None:
    """Kills processes in `out`/run, and compares the end with `out`/reference. Raises RunError at a finding."""
    epochs = ["--epochs", f"{20 * kills}", "--connect-seconds", f"{SECONDS / 2:.0f}"]
    for name in ("reference", "run"):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    rng, longest = random.Random(seed), 0.0
    for number in range(kills):
        victim, moment = rng.randrange(2), rng.uniform(0, 2 * START_SECONDS)
        processes = start(out / "run", epochs)
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and all(process.poll() is None for process in processes):
            time.sleep(0.01)
        iteration = newest(out / "run")
        processes[victim].send_signal(signal.SIGKILL)
        began = time.monotonic()
        try:
            printed, _ = processes[1 - victim].communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            processes[1 - victim].kill()
            raise RunError(f"kill {number + 1}, of process {victim} after {moment:.1f} s: the other hangs") from None
        took, code = time.monotonic() - began, processes[1 - victim].returncode
        longest = max(longest, took)
        said = printed.strip().splitlines()[-1:] or [""]
        moment = f"{number + 1}: process {victim} killed after {moment:.1f} s, at checkpoint {iteration}"
        print(f"{moment}: exit code {code} after {took:.1f} s: {said[0][:100]}", flush=True)
        finished = code == 0  # it was too late
        explained = ENDED in printed or "if they are not there" in said[0]
        if not finished and (code != 1 or not explained or "Traceback" in printed):
            raise RunError(f"kill {number + 1}: exit code {code}, and it says:\n{printed[-2000:]}")
        processes[victim].wait()
    for name in ("run", "reference"):
        for process in start(out / name, epochs):
            printed, _ = process.communicate(timeout=1200)
            if process.returncode:
                raise RunError(f"{name} ends with {process.returncode}: {printed[-2000:]}")
    compare(out / "run", out / "reference")
    print(f"{kills} kills: the other process ended within {longest:.1f} s, and the end is that of an undisturbed run.")


def start(folder: Path, epochs: list[str]) -> list[subprocess.Popen]:
    """Starts both processes."""
    line = [sys.executable, str(ROOT / "train.py"), *TINY, *epochs]
    return [
        subprocess.Popen(
            line, cwd=folder, env={**os.environ, **THREADS, **environment}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for environment in cluster_environments(2)
    ]  # fmt: skip


def newest(folder: Path) -> str:
    """The name of the newest checkpoint."""
    paths = checkpoints.list_paths(folder / "output/it/checkpoints")
    return paths[-1].stem if paths else "none"


def compare(one: Path, other: Path) -> None:
    """Raises RunError unless the last checkpoints of two runs have the same weights and states."""
    first, second = (
        np.load(checkpoints.list_paths(folder / "output/it/checkpoints")[-1], allow_pickle=False)
        for folder in (one, other)
    )
    timed = ("seconds", "data_seconds", "validation", "grid_due")
    different = [name for name in first.files if name not in timed and not np.array_equal(first[name], second[name])]
    if different or set(first.files) != set(second.files):
        raise RunError(f"{one} differs from {other} in {', '.join(different) or 'its arrays'}.")


if __name__ == "__main__":
    sys.exit(main())
