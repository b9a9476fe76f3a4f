"""The fuzzer's worker: runs one case after the other in a process of its own, and watches what it does.

connection.send(("zip", 123, folder))               # from benchmarks/fuzz.py
outcome, detail, memory = connection.recv()
"""

import contextlib
import faulthandler
import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from random import Random

from benchmarks.fuzz_targets import TARGETS
from benchmarks.fuzz_targets.target import Target, write_files
from benchmarks.mutations import mutate, splice
from gan.memory import read_sizes

SECONDS = 10.0
MEMORY = 1 << 30  # bytes above those before the case
ADDRESS_SPACE = 6 << 30  # bytes above those before the case, where allocation fails, so that the machine survives
LONGEST_MESSAGE = 3000  # characters of a named error
# Events of the interpreter that no reading of data causes; see "Audit events table" in Python's documentation.
FORBIDDEN = {
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class", "socket.connect"),
}


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


def prepare_case(name: str, seed: int, folder: Path) -> tuple[Target, Path]:
    """Writes the damaged files of a case to `folder`/a/b/c, and its neighbors; returns the target and that folder."""
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


def damage(target: Target, random: Random) -> dict[str, bytes]:
    """Makes valid files and damages one of them, or two."""
    content = target.make(random)
    victims = [name for name in content if name.endswith(target.victims)]
    for name in random.sample(victims, min(len(victims), random.choice((1, 1, 1, 2)))):
        if random.random() < 0.05:
            other = target.make(random)
            content[name] = splice(content[name], other.get(name, content[name]), random)
        else:
            content[name] = mutate(name, content[name], random)
    return content


def enter(target: Target, folder: Path) -> tuple[str, str]:
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
    return read_sizes(Path("/proc/self/status"))[name]


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
