"""Fuzz what this project reads: files that are damaged at random give a right result or a named error, nothing else.

    python -m benchmarks.fuzz --minutes 60
    python -m benchmarks.fuzz --target zip --seed 123 --cases 1    # one case again

A case is a valid file of one of the targets, damaged as a seed says, that goes through the product's own entry. A
finding is any other exception, a wrong result, a crash, more than 10 seconds, more than 1 GB of memory, code that runs,
and a file that is written or changed outside of the case's folder. Each is printed with its target and seed, and saved
to --out with its files and traceback. The last line of the output is one JSON document. The exit code is 1 where there
are findings. Linux only, as memory is read from /proc.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import fuzz_worker
from benchmarks.fuzz_targets import TARGETS
from gan.cli import in_range, path_argument, run_command
from gan.errors import RunError

SCRATCH = "/dev/shm" if os.path.isdir("/dev/shm") else None  # in memory, where writes are not waited for
CASES_PER_WORKER = 2000


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", nargs="+", choices=tuple(TARGETS), default=list(TARGETS), help="default: all")
    parser.add_argument("--seed", type=in_range(int, 0), default=0, metavar="N", help="seed of the first case of each")
    parser.add_argument("--cases", type=in_range(int, 1), metavar="N", help="how many in all (default: 1000)")
    parser.add_argument("--minutes", type=in_range(float, 0), metavar="M", help="go on for that long instead")
    parser.add_argument("--out", type=path_argument, default="fuzz", metavar="PATH", help="folder of findings")
    arguments = parser.parse_args(argv)
    arguments.cases = arguments.cases or (None if arguments.minutes else 1000)
    return arguments


class Worker:
    """A process that runs cases, and another one after it where it died."""

    def __init__(self, stacks: Path, work=fuzz_worker.work):
        self.stacks, self.work, self.process, self.done = stacks, work, None, 0

    def run(self, name: str, seed: int, folder: Path) -> tuple[str, str, int]:
        """Runs one case; see `fuzz_worker.run_case`. A hang counts where it comes twice, as the machine may be busy."""
        result = self.run_once(name, seed, folder)
        return self.run_once(name, seed, folder) if result[0] == "hang" else result

    def run_once(self, name: str, seed: int, folder: Path) -> tuple[str, str, int]:
        """Runs one case in an empty folder. A worker that dies was too slow, or crashed."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if self.process is None:
            self.start()
        self.done += 1
        try:
            self.connection.send((name, seed, folder))
            result = self.connection.recv()
        except (EOFError, OSError):
            code, stack = self.close(), self.stacks.read_text(errors="replace")[-20_000:]
            return ("hang" if stack.startswith("Timeout") else "crash"), f"exit code {code}\n{stack}", 0
        if result[0] in ("memory", "code") or self.done >= CASES_PER_WORKER:
            self.close()
        return result

    def start(self) -> None:
        """Starts a process."""
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process, self.done = context.Process(target=self.work, args=(other, self.stacks), daemon=True), 0
        self.process.start()
        other.close()

    def close(self) -> int | None:
        """Ends the process, if there is one; returns its exit code."""
        if self.process is None:
            return None
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join()
        code, self.process = self.process.exitcode, None
        return code


def fuzz(arguments: argparse.Namespace) -> int:
    """Runs all cases; prints and saves findings. Returns the exit code."""
    if not sys.platform.startswith("linux"):
        raise RunError("memory is read from /proc, which only Linux has.")
    counts, findings, start, peak = {name: Counter() for name in arguments.target}, Counter(), time.monotonic(), 0
    with tempfile.TemporaryDirectory(dir=SCRATCH, ignore_cleanup_errors=True) as scratch:
        worker, folder = Worker(Path(scratch, "stacks")), Path(scratch, "case")
        for name, seed in list_cases(arguments):
            outcome, detail, memory = worker.run(name, seed, folder)
            counts[name][outcome] += 1
            peak = max(peak, memory)
            if outcome == "right" or outcome in {error.__name__ for error in TARGETS[name].allowed}:
                continue
            kind = f"{outcome} {locate(detail)}".strip()
            findings[f"{name}: {kind}"] += 1
            if findings[f"{name}: {kind}"] == 1:
                last = (detail.strip().splitlines() or [""])[-1][:200]
                print(f"--target {name} --seed {seed} --cases 1: {kind}\n    {last}", flush=True)
                save_finding(Path(arguments.out, f"{name}-{seed}"), folder, detail)
        worker.close()
    total, seconds = sum(counter.total() for counter in counts.values()), time.monotonic() - start
    print(f"{total:,} cases in {seconds:,.0f} s, {total / seconds:.1f} a second; {len(findings)} findings")
    print(json.dumps({
        "cases": total, "seconds": round(seconds, 1), "seed": arguments.seed, "peak_memory_mb": round(peak / 1e6),
        "findings": dict(findings), "outcomes": {name: dict(counter) for name, counter in counts.items()},
    }))  # fmt: skip
    return 1 if findings else 0


def list_cases(arguments: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Yields (target, seed), the targets in turn, until there were enough, or the time is over."""
    start = time.monotonic()
    for number in itertools.count():
        if number == arguments.cases or (arguments.minutes and time.monotonic() - start > 60 * arguments.minutes):
            return
        turn, place = divmod(number, len(arguments.target))
        yield arguments.target[place], arguments.seed + turn


def locate(detail: str) -> str:
    """Returns the last line of this project in a traceback: with the error it tells one finding from another."""
    lines = detail.strip().splitlines()
    root = str(Path(__file__).parent.parent) + os.sep
    places = [line.strip().replace(root, "") for line in lines if line.strip().startswith("File ")]
    ours = [place for place in places if place.startswith('File "') and place[6] not in "/.<"] or places
    return ours[-1] if ours else ""


def save_finding(target: Path, folder: Path, detail: str) -> None:
    """Keeps the files of a case and what happened."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True)
    (target / "finding.txt").write_text(detail, errors="replace")


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = parse(argv)
    return run_command("fuzz", lambda: fuzz(arguments))


if __name__ == "__main__":
    sys.exit(main())
