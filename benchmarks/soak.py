"""Soak test: trains for hours, and checks that memory, open files and threads do not grow.

    python -m benchmarks.soak --minutes 120
    python -m benchmarks.soak --minutes 30 --recipe udacity-64 --out soak.csv

Takes every flag of train.py, and trains with it as a child process, by default into a new folder in output/ and with a
score and a grid every 100 iterations. Every five seconds it reads the child's resident memory (VmRSS in
/proc/PID/status), number of open files and number of threads, and adds them to a CSV file. After `--minutes` on the
clock, the child is stopped as by a user. The last line of the output is one JSON document; the exit code is 1 where
memory drifted by more than 2%, or files or threads did not stay the same.

A score, a grid and a checkpoint take memory for a moment, and give it back: read at single moments, memory is a
sawtooth, and a file is open now and then. So windows of five minutes are compared by their lower quartiles, which are
levels between saves, even on a busy machine where saves take half of the time. The first window begins after ten
minutes, by when everything has been loaded and compiled.
"""

import argparse
import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from gan.cli import in_range, parse_arguments, path_argument, run_command
from gan.config import Config
from gan.errors import UsageError
from gan.memory import read_sizes
from gan.settings import open_run
from gan.signals import handle_signals, interrupt

TRAIN = Path(__file__).parent.parent / "train.py"
SECONDS = 5.0  # from one reading to the next
WARM_UP, WINDOW = 10.0, 5.0  # minutes; in short trials a half and an eighth of the whole
DRIFT = 2.0  # percent of memory that is no drift yet
COLUMNS = ["seconds", "rss_mb", "files", "threads"]
STOPPED = 128 + signal.SIGTERM  # what train.py returns after it


def parse(argv: list[str] | None) -> tuple[argparse.Namespace, Config, list[str]]:
    """Parses the flags of this command and those of train.py; returns the latter as words, too."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        usage="%(prog)s [--minutes X] [--out PATH] [any flag of train.py]",
        description="Trains for long, and checks that memory, open files and threads do not grow. Further flags:"
        " train.py --help.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--minutes", type=in_range(float, 0.1), default=120.0, metavar="X", help="duration on the clock (default: 120)"
    )
    parser.add_argument(
        "--out", type=path_argument, default="soak.csv", metavar="PATH", help="CSV file of readings (default: soak.csv)"
    )
    flags, rest = parser.parse_known_args(argv)
    words = ["--run", time.strftime("soak-%Y%m%d-%H%M%S"), "--score-every", "100", "--sample-every", "100"]
    words += ["--score-samples", "256", *rest, "--minutes", f"{flags.minutes:g}"]
    config, _ = parse_arguments(words)
    return flags, config, [*words, "--image-size", f"{config.image_size}"]  # whatever the images are


def read_process(number: int, proc: Path = Path("/proc")) -> dict[str, float] | None:
    """Reads the resident memory in MB, the open files and the threads of a process; None where it has ended."""
    folder = proc / str(number)
    try:
        sizes = read_sizes(folder / "status")
        files, threads = len(os.listdir(folder / "fd")), len(os.listdir(folder / "task"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    if "VmRSS" not in sizes:  # it has ended, and nobody has asked for its exit code yet
        return None
    return {"rss_mb": round(sizes["VmRSS"] / 1e6, 3), "files": files, "threads": threads}


def watch(child: subprocess.Popen, minutes: float, path: Path) -> list[dict[str, float]]:
    """Reads a process until it ends, and stops it after `minutes`; each reading is written to `path` at once."""
    rows, start = [], time.monotonic()
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        while child.poll() is None:
            seconds = time.monotonic() - start
            if seconds > 60 * minutes:
                break
            if reading := read_process(child.pid):
                rows.append({"seconds": round(seconds, 1), **reading})
                table.writerow(rows[-1])
                file.flush()
            time.sleep(min(SECONDS, 60 * minutes / 20))
    return rows


def summarize(rows: list[dict[str, float]], minutes: float) -> dict[str, float | list[float] | bool]:
    """Compares the windows of a soak of `minutes` with the first after the warm-up.

    Returns:
        The levels (lower quartiles) of memory, in MB, in the first window and in the last; the largest drift, in
        percent, of any level from the first; the extremes of files and threads, and their levels; `flat`, whether
        memory drifted by no more than `DRIFT`, and all levels of files are the same, and so are those of threads.
        Without a window only `flat`, False.
    """
    warm_up, width = 60 * min(WARM_UP, minutes / 2), 60 * min(WINDOW, minutes / 8)
    rows = [row for row in rows if row["seconds"] >= warm_up]
    windows = {}
    for row in rows:
        windows.setdefault(int((row["seconds"] - warm_up) // width), []).append(row)
    if not windows:
        return {"flat": False}
    levels = {
        name: [sorted(row[name] for row in window)[len(window) // 4] for window in windows.values()]
        for name in COLUMNS[1:]
    }
    memory = levels["rss_mb"]
    drift = max(abs(value - memory[0]) for value in memory) / memory[0] * 100
    extremes = {name: [min(row[name] for row in rows), max(row[name] for row in rows)] for name in COLUMNS[2:]}
    constant = all(len(set(levels[name])) == 1 for name in COLUMNS[2:])
    return {
        "windows": len(windows), "rss_mb_first": memory[0], "rss_mb_last": memory[-1], "drift_percent": round(drift, 2),
        "files": extremes["files"], "threads": extremes["threads"],
        "files_levels": sorted(set(levels["files"])), "threads_levels": sorted(set(levels["threads"])),
        "flat": drift <= DRIFT and constant,
    }  # fmt: skip


def soak(flags: argparse.Namespace, config: Config, words: list[str]) -> int:
    """Trains, watches and reports. Returns the exit code."""
    if not Path("/proc/self/status").exists():
        raise UsageError("this system has no /proc, from which a process's memory is read: run it on Linux.")
    # stdout is for the report; a SIGTERM to this process must not leave the child behind.
    with handle_signals([signal.SIGTERM], interrupt):
        child = subprocess.Popen([sys.executable, str(TRAIN), *words], stdout=2)
        try:
            rows = watch(child, flags.minutes, Path(flags.out))
        finally:
            child.terminate()
            code = child.wait()
    run = open_run(config)
    log = run.tables.read_log(1)
    result = summarize(rows, flags.minutes) | {
        "minutes": flags.minutes, "iterations": int(log["iteration"][0]) if log else 0,
        "scores": len(run.tables.read_scores()), "pictures": len(run.grids.list_paths()), "exit_code": code,
        "csv": flags.out,
        "config": dataclasses.asdict(config),
    }  # fmt: skip
    print(json.dumps(result))
    return int(not result["flat"] or code not in (0, STOPPED))


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    flags, config, words = parse(argv)
    return run_command("soak", lambda: soak(flags, config, words))


if __name__ == "__main__":
    sys.exit(main())
