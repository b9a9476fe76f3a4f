"""Fuzz what this project reads: files that are damaged at random give a right result or a named error, nothing else.

    python -m benchmarks.fuzz --minutes 60
    python -m benchmarks.fuzz --target zip --seed 123 --cases 1    # one case again

Case number i is a valid file of one of the targets, damaged as a seed says, that goes through the product's own entry.
A finding is any other exception, a wrong result, a crash, more than 10 seconds, more than 1 GB of memory, code that
runs, and a file that is written or changed outside of the case's folder. Each is printed with its target and seed, and
saved to --out with its files and traceback. The last line of the output is one JSON document. The exit code is 1 where
there are findings. Linux only, as memory is read from /proc.
"""

import argparse
import contextlib
import faulthandler
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random

from gan.cli import in_range, path_argument, run_command
from gan.errors import RunError

SECONDS = 10.0
MEMORY = 1 << 30  # bytes above those before the case
ADDRESS_SPACE = (
    6 << 30
)  # bytes above those before the case, where allocation fails: the machine has to survive a finding
SCRATCH = "/dev/shm" if os.path.isdir("/dev/shm") else None  # in memory, where writes are not waited for
CASES_PER_WORKER = 2000
LONGEST_MESSAGE = 3000  # characters of a named error
# Events of the interpreter that no reading of data causes; see "Audit events table" in Python's documentation.
FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pickle.find_class",
    "socket.connect",
)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    from benchmarks.fuzz_targets import TARGETS

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


# The worker: a process that runs cases until it is ended, by itself or otherwise


def work(connection, stacks: Path) -> None:
    """Receives (target, seed, folder) and sends (outcome, detail, bytes of memory) until the connection is closed."""
    silence()
    events = watch_events()
    with open(stacks, "w") as file:
        try:
            while case := connection.recv():
                connection.send(run_case(*case, events, file))
        except BaseException:  # a mistake in this file, or no memory is left
            traceback.print_exc(file=file)
            raise


def silence() -> None:
    """Sends what this process prints to nowhere, as libraries in C print as well; shows no warnings."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    warnings.showwarning = lambda *_: None


def watch_events() -> list[str]:
    """Returns a list to which every forbidden event of this process is added from now on."""
    events = []
    sys.addaudithook(lambda event, arguments: events.append(f"{event} {arguments}") if event in FORBIDDEN else None)
    return events


def run_case(name: str, seed: int, folder: Path, events: list[str], stacks) -> tuple[str, str, int]:
    """Runs one case in `folder`/a/b/c, which nothing may be written outside of.

    Returns:
        The outcome, "right", the name of a named error, or a finding's kind; for a finding, what happened; and how many
        bytes of memory it took.
    """
    target, inside = prepare_case(name, seed, folder)
    before, start = list_neighborhood(folder), read_memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    events.clear()
    with time_limit(stacks), memory_limit():
        outcome, detail = enter(target, inside)
    memory = read_memory("VmHWM") - start
    if memory > MEMORY:
        return "memory", f"{memory / 1e9:.1f} GB\n{detail}", memory
    if events:
        return "code", "\n".join(events), memory
    if (after := list_neighborhood(folder)) != before:
        return "outside", "\n".join(sorted(map(str, set(after.items()) ^ set(before.items())))), memory
    return outcome, detail, memory


def prepare_case(name: str, seed: int, folder: Path):
    """Writes the damaged files of a case to `folder`/a/b/c, and its neighbors; returns the target and that folder."""
    from benchmarks.fuzz_targets import TARGETS, write_files

    target, inside = TARGETS[name], folder / "a" / "b" / "c"
    os.chdir(folder)  # that of the last case is gone, and so are its temporary files
    tempfile.tempdir = None
    neighbors = dict.fromkeys(("canary", "escaped.png", "a/canary", "a/b/canary", "a/b/escaped"), b"canary")
    write_files(folder, neighbors)
    write_files(inside, damage(target, Random(f"{name} {seed}")))
    os.chdir(inside)
    (folder / "a" / "temporary").mkdir()
    tempfile.tempdir = str(folder / "a" / "temporary")  # has to be empty afterwards
    return target, inside


def damage(target, random: Random) -> dict[str, bytes]:
    """Makes valid files and damages one of them, or two."""
    from benchmarks.mutations import mutate, splice

    content = target.make(random)
    victims = [name for name in content if name.endswith(target.victims)]
    for name in random.sample(victims, min(len(victims), random.choice((1, 1, 1, 2)))):
        if random.random() < 0.05:
            other = target.make(random)
            content[name] = splice(content[name], other.get(name, content[name]), random)
        else:
            content[name] = mutate(name, content[name], random)
    return content


def enter(target, folder: Path) -> tuple[str, str]:
    """Reads the files through the product; returns the outcome, and the traceback of a finding."""
    try:
        target.enter(folder)
        return "right", ""
    except target.allowed as error:
        if not str(error) or len(str(error)) > LONGEST_MESSAGE:
            return "message", f"a message of {len(str(error))} characters\n{traceback.format_exc()[-5000:]}"
        return next(kind.__name__ for kind in target.allowed if isinstance(error, kind)), ""
    except BaseException as error:
        return type(error).__name__, traceback.format_exc()[-20_000:]


@contextlib.contextmanager
def time_limit(stacks):
    """Ends the process after `SECONDS`, with the stacks of its threads in a file."""
    stacks.seek(0)
    stacks.truncate()
    faulthandler.enable(stacks)
    faulthandler.dump_traceback_later(SECONDS, exit=True, file=stacks)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def memory_limit():
    """Lets allocations fail that would take the whole machine."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (read_memory("VmSize") + ADDRESS_SPACE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def read_memory(name: str) -> int:
    """Reads a figure of this process in bytes: VmRSS (memory), VmHWM (its peak) or VmSize (address space)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def list_neighborhood(folder: Path) -> dict[str, object]:
    """Lists all that is beside the case's own files: folders by name, files with their content."""
    found = {}
    for root, folders, names in os.walk(folder):
        if Path(root).parts[-3:] == ("a", "b", "c"):
            folders.clear()
            if "executed" in names:
                found["executed"] = ""
            continue
        found |= {root: "", **{os.path.join(root, name): Path(root, name).read_bytes()[:100] for name in names}}
    return found


# The parent: hands out cases, and judges what came of them


class Worker:
    """A process that runs cases, and another one after it where it died."""

    def __init__(self, stacks: Path, work=work):
        self.stacks, self.work, self.process, self.done = stacks, work, None, 0

    def run(self, name: str, seed: int, folder: Path) -> tuple[str, str, int]:
        """Runs one case; see `run_case`. A worker that dies was too slow, or crashed."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.connection, other = context.Pipe()
            self.process, self.done = context.Process(target=self.work, args=(other, self.stacks), daemon=True), 0
            self.process.start()
            other.close()
        self.done += 1
        try:
            self.connection.send((name, seed, folder))
            result = self.connection.recv()
            if result[0] in ("memory", "code") or self.done >= CASES_PER_WORKER:
                self.close()
            return result
        except (EOFError, OSError):
            code, stack = self.close(), self.stacks.read_text(errors="replace")[-20_000:]
            return ("hang" if stack.startswith("Timeout") else "crash"), f"exit code {code}\n{stack}", 0

    def close(self) -> int:
        """Ends the process; returns its exit code."""
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join()
        code, self.process = self.process.exitcode, None
        return code


def fuzz(arguments: argparse.Namespace) -> int:
    """Runs all cases; prints and saves findings. Returns the exit code."""
    from benchmarks.fuzz_targets import TARGETS

    if not sys.platform.startswith("linux"):
        raise RunError("memory is read from /proc, which only Linux has.")
    counts, findings, start, peak = {name: Counter() for name in arguments.target}, Counter(), time.monotonic(), 0
    with tempfile.TemporaryDirectory(dir=SCRATCH, ignore_cleanup_errors=True) as scratch:
        worker = Worker(Path(scratch, "stacks"))
        for number in range(arguments.cases) if arguments.cases else iter(range(10**12)):
            if arguments.minutes and time.monotonic() - start > 60 * arguments.minutes:
                break
            name = arguments.target[number % len(arguments.target)]
            seed, folder = arguments.seed + number // len(arguments.target), Path(scratch, "case")
            folder.mkdir()
            outcome, detail, memory = worker.run(name, seed, folder)
            counts[name][outcome] += 1
            peak = max(peak, memory)
            if outcome != "right" and outcome not in {error.__name__ for error in TARGETS[name].allowed}:
                kind = f"{name}: {outcome} {locate(detail)}"
                findings[kind] += 1
                if findings[kind] == 1:
                    print(f"--target {name} --seed {seed} --cases 1: {outcome} {locate(detail)}", flush=True)
                    print("   ", (detail.strip().splitlines() or [""])[-1][:200], flush=True)
                    save_finding(Path(arguments.out, f"{name}-{seed}"), folder, detail)
            shutil.rmtree(folder)
        if worker.process:
            worker.close()
    seconds = time.monotonic() - start
    total = sum(counter.total() for counter in counts.values())
    print(f"{total:,} cases in {seconds:,.0f} s, {total / seconds:.1f} a second; {len(findings)} findings")
    print(json.dumps({
        "cases": total, "seconds": round(seconds, 1), "seed": arguments.seed, "peak_memory_mb": round(peak / 1e6),
        "findings": dict(findings), "outcomes": {name: dict(counter) for name, counter in counts.items()},
    }))  # fmt: skip
    return 1 if findings else 0


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
