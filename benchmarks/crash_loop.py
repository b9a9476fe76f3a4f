"""Kill a training at hundreds of moments, let its writes fail, and compare its end with an uninterrupted one.

    python -m benchmarks.crash_loop --out FOLDER
    python -m benchmarks.crash_loop --out FOLDER --kills 15 --faults 5 --writer-kills 300 --writer-faults 50

Two parts: train.py itself on a tiny run, and, in forked processes of milliseconds, the functions that write its files
(benchmarks/crash_writer.py). Each round starts the same command, which is killed (SIGKILL, its whole process group), or
in which a system call fails (ENOSPC, EIO). After each round every file must be whole. At the end all files must equal
those of an uninterrupted run, but for what depends on the clock, and no other file may be there.

The same command goes on after the last round. The first finding ends it, with its folder left as it is. Those of a
training take some ten seconds each, those of the writer a tenth of one. Needs Linux and a C compiler.
"""

import argparse
import contextlib
import ctypes
import errno
import itertools
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.crash_writer import write_run
from benchmarks.injection import Injection, build_library, read_trace
from benchmarks.snapshot import list_differences, read_folder
from gan.cli import in_range, path_argument, run_command
from gan.errors import RunError
from gan.files import read_json, write_json

ROOT = Path(__file__).parent.parent
SAVES_PER_ROUND = 0.7  # about what a round adds, so that a run is nearly done when the rounds are
EVERY = 2  # iterations between saves
TINY = [
    *("--limit", "60", "--image-size", "16", "--width", "4", "--noise-size", "8", "--batch-size", "8", "--run", "it"),
    *("--depth", "0"),
    *("--precision", "float32", "--holdout", "0.4", "--penalty-every", "3", "--cache-dir", "cache"),
    *("--sample-every", str(EVERY), "--score-every", str(EVERY), "--score-samples", "64"),
]  # fmt: skip
# One: with two, TensorFlow rarely sums in another order, so that even uninterrupted runs differ in the ninth digit.
THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
PATIENCE = 600.0  # seconds after which a command hangs
START_CALLS = 100  # about as many as a command makes before it trains
KILLED = -9  # the exit code of a process that SIGKILL ended
# What is being written, by parts of the paths of its files; the first that fits counts.
WINDOWS = {
    "cache": ["/cache/"], "page": ["index.html"], "checkpoint": ["/checkpoints"], "best model": ["best."],
    "generator": ["generator."], "chart": ["loss.png"], "grid": ["/it/.0"], "samples": ["samples.npz"],
    "tables": ["log.csv", "metrics.csv", "diagnostics.csv"],
    "claim": ["config.json", "data.json", "skipped.csv", ".lock"],
}  # fmt: skip
# What a training does after it has written that.
AFTERWARDS = {"page": "steps", "chart": "steps", "tables": "scoring", "claim": "building", "cache": "building"}


@dataclass
class Part:
    """A command that is killed again and again, and what has come of it so far, which is kept in part.json.

    Arguments:
        folder: where the command works, in `run/`, and its reference, which is not interrupted, in `reference/`.
        start: a function (folder, injection, log, trace) that starts the command in a folder, and returns its exit
            code; what it says on standard error goes to `log`, the calls that it makes to `trace`.
        command: the name at the start of its messages.
        start_seconds: about what it takes until it first writes.
        short: whether a run ends after some rounds; it is then compared, and begun anew.
    """

    folder: Path
    start: Callable[[Path, Injection, Path, Path], int]
    command: str
    start_seconds: float
    short: bool
    rounds: int = 0
    kills: Counter = field(default_factory=Counter)  # by moment
    faults: Counter = field(default_factory=Counter)  # by error, window and end
    seconds: float = 0.0  # of all rounds

    def load(self) -> None:
        """Goes on from part.json, if it is there."""
        if (path := self.folder / "part.json").exists():
            saved = read_json(path)
            self.rounds, self.seconds = saved["rounds"], saved["seconds"]
            self.kills, self.faults = Counter(saved["kills"]), Counter(saved["faults"])

    def save(self) -> None:
        """Writes part.json."""
        names = ("rounds", "seconds", "kills", "faults")
        write_json(self.folder / "part.json", {name: getattr(self, name) for name in names})

    def run(self, kills: int, faults: int, seed: int) -> None:
        """Goes on with rounds until there are that many kills and faults; raises RunError at the first finding."""
        self.load()
        self.make_reference()
        while any(left := [max(0, kills - self.kills.total()), max(0, faults - self.faults.total())]):
            rng = random.Random(f"{seed} {self.command} {self.rounds}")
            window = rng.choice(["start", *WINDOWS])
            fault = rng.choice([errno.ENOSPC, errno.EIO]) if rng.random() * sum(left) < left[1] else 0
            start = time.perf_counter()
            done = self.run_round(choose_injection(rng, self.paths, window, fault, self.start_seconds), window)
            self.seconds += time.perf_counter() - start
            self.rounds += 1
            self.save()
            if done and self.short:
                self.compare()
        if (self.folder / "run").exists():  # else its end was compared before
            self.run_round(Injection(), "")
            self.compare()

    def make_reference(self) -> None:
        """Runs the command once without kills and faults, and reads what it wrote and the paths that it changed."""
        folder, trace = self.folder / "reference", self.folder / "reference.trace"
        if not (self.folder / "part.json").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            folder.mkdir(parents=True)
            if code := self.start(folder, Injection(), self.folder / "reference.log", trace):
                raise RunError(f"{self.command} alone ends with {code}: see {self.folder / 'reference.log'}")
            self.save()
        self.reference, self.paths = read_folder(folder), read_trace(trace)

    def run_round(self, injection: Injection, window: str) -> bool:
        """Starts the command once, and counts what happened; returns whether it came to its end undisturbed."""
        folder, log, trace = (self.folder / name for name in ("run", "log", "trace"))
        folder.mkdir(exist_ok=True)
        trace.unlink(missing_ok=True)
        if window == "cache":
            for path in folder.glob("cache/*.npy"):
                path.unlink()
        code = self.start(folder, injection, log, trace)
        paths = read_trace(trace)
        matched = [path for path in paths if injection.pattern in path]
        reached = len(matched) >= injection.at
        if injection.fault and reached:
            end = "ended" if code in (1, 2) else "went on"
            name = f"{errno.errorcode[injection.fault]} in {find_window(matched[injection.at - 1])}, {end}"
            self.faults[name] += 1
        elif code == KILLED:
            self.kills[name_moment(paths, injection.delay if reached else 0)] += 1
        problem = find_problem(code, log.read_text("utf-8", "replace"), self.command, bool(injection.fault and reached))
        if not problem:
            try:
                read_folder(folder)
            except ValueError as error:
                problem = str(error)
        if problem:
            self.rounds += 1
            self.save()
            raise RunError(f"Round {self.rounds} of {self.folder}: {problem}. See {log}. It had {injection}")
        return code == 0 and not (injection.fault and reached)  # of the page alone is a fault only a warning

    def compare(self) -> None:
        """Compares the finished run with the reference, and removes it where it is equal."""
        if different := list_differences(self.reference, read_folder(self.folder / "run")):
            raise RunError(f"{self.folder / 'run'} differs from {self.folder / 'reference'} in {', '.join(different)}.")
        shutil.rmtree(self.folder / "run")


def choose_injection(rng: random.Random, paths: list[str], window: str, fault: int, start_seconds: float) -> Injection:
    """Chooses what happens in a round, and when.

    Arguments:
        paths: of the calls of a whole run.
        window: what is being written when it happens; the start is before anything is written.
        fault: the number of an error, or 0 for a kill.
        start_seconds: how long the start is.
    """
    # The process is killed in any case after up to three saves, so that a window that does not come costs no whole run.
    saves = len({path for path in paths if "/checkpoints/." in path})
    last = START_CALLS + int(rng.uniform(1, 3) * len(paths) / saves)
    if window == "start":
        return Injection(at=1 if fault else 0, delay=int(1e6 * rng.uniform(0, start_seconds)), fault=fault, last=last)
    together = [len([*group]) for name, group in itertools.groupby(paths, find_window) if name == window]
    longest = max(together, default=1)
    delay = 0 if fault or rng.random() < 0.5 else int(100 * (4e3 * start_seconds) ** rng.random())  # from 0.1 ms on
    return Injection(rng.choice(WINDOWS[window]), rng.randint(1, longest + longest // 2), delay, fault, last)


def find_window(path: str) -> str:
    """The name of what is being written when a file of that path changes; "folder" for a folder."""
    return next((name for name, parts in WINDOWS.items() if any(part in path for part in parts)), "folder")


def name_moment(paths: list[str], delay: int) -> str:
    """The moment of a kill, after calls that changed these paths: while something was written, or afterwards."""
    window = next((name for name in map(find_window, reversed(paths)) if name != "folder"), "start")
    return AFTERWARDS.get(window, f"after {window}") if delay and window != "start" else window


def find_problem(code: int | None, log: str, command: str, failed: bool) -> str:
    """What is wrong with the end of a command, "" for nothing: a kill, 0, and where a call has `failed` 1 or 2.

    Arguments:
        code: the exit code; None: it hung.
        log: what it wrote to standard error.
    """
    messages = [line for line in log.splitlines() if line.strip() and not line.startswith(f"{command}: warning: ")]
    if code is None:
        return f"it had not ended after {PATIENCE:g} s"
    if code not in ([0, KILLED, 1, 2] if failed else [0, KILLED]):
        return f"it ended with {code}: {messages[-1:]}"
    if len(messages) != (code > 0) or not all(line.startswith(f"{command}: ") for line in messages):
        return f"it ended with {code} and {len(messages)} lines: {messages[-1:]}"
    return ""


def start_training(saves: int, library: Path) -> Callable:
    """Makes the function that starts train.py on a run of so many saves; see `Part`."""
    command = [sys.executable, str(ROOT / "train.py"), *TINY, "--epochs", str(EVERY * saves)]

    def start(folder: Path, injection: Injection, log: Path, trace: Path) -> int | None:
        environment = os.environ | THREADS | injection.environment(folder, library, trace)
        with open(log, "wb") as errors:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
            )
            try:
                return process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                return None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    return start


def start_writer(folder: Path, injection: Injection, log: Path, trace: Path) -> int | None:
    """Forks a process that writes a run; see `Part`. The library must be loaded in this process."""
    child = os.fork()
    if not child:
        code = 70
        with (
            open(log, "w", buffering=1) as errors,
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stderr(errors),
            contextlib.redirect_stdout(nowhere),  # the progress of the cache
        ):
            try:
                os.setsid()
                os.environ.update(injection.environment(folder, trace=trace))
                ctypes.CDLL(None).injection_arm()
                code = run_command("writer", lambda: write_run(folder))
            except BaseException:
                traceback.print_exc(file=errors)
            finally:
                os._exit(code)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def describe(part: Part) -> list[str]:
    """Lines that say what a part has been through."""
    lines = [
        f"{part.folder.name}: {part.kills.total():,} kills and {part.faults.total():,} faults in {part.rounds:,} rounds"
        f" and {part.seconds:,.0f} s; every file whole after each, the end equal to that of an uninterrupted run"
    ]
    for title, counts in (("killed in", part.kills), ("failed with", part.faults)):
        lines += [f"  {title} {name}: {count:,}" for name, count in sorted(counts.items())]
    return lines


def load_library(folder: Path) -> Path:
    """Builds the library, and starts this process anew with it, as forked processes need it; returns its path."""
    if not hasattr(ctypes.CDLL(None), "injection_arm"):
        library = {"LD_PRELOAD": str(build_library(folder))}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | library)
    return folder / "injection.so"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parses the flags of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crash_loop",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=path_argument, required=True, metavar="FOLDER", help="work folder, kept")
    for name, default, help in (
        ("kills", 300, "kills of a training"),
        ("faults", 60, "failing calls of a training"),
        ("writer-kills", 5000, "kills of what writes its files"),
        ("writer-faults", 500, "failing calls of that"),
        ("seed", 0, "seed of the moments"),
    ):
        help = f"{help} (default: {default})"
        parser.add_argument(f"--{name}", type=in_range(int, 0), default=default, metavar="N", help=help)
    return parser.parse_args(argv)


def crash(flags: argparse.Namespace) -> None:
    """Goes through both parts and prints what happened."""
    out = Path(flags.out).resolve()
    library = load_library(out)
    saves = max(4, math.ceil(SAVES_PER_ROUND * (flags.kills + flags.faults)))
    training = start_training(saves, library)
    parts = [
        (Part(out / "writer", start_writer, "writer", 0.02, short=True), flags.writer_kills, flags.writer_faults),
        (Part(out / "training", training, "train.py", 4.0, short=False), flags.kills, flags.faults),
    ]
    for part, kills, faults in parts:
        if kills or faults:
            part.run(kills, faults, flags.seed)
            print(*describe(part), sep="\n", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    flags = parse(argv)
    return run_command("crash_loop", lambda: crash(flags))


if __name__ == "__main__":
    sys.exit(main())
