"""A run trained by a process of its own, in one sitting or several, with a note of where and beside what other work.

code = sit(["python", "train.py", ...], run, machine, minutes)  # adds to output/RUN/sittings.json
"""

import os
import signal
import subprocess
import sys
import time

from gan.comparison import hardware as machines
from gan.errors import UsageError
from gan.files import read_json, write_json
from gan.metrics.evaluation import HELD_OUT
from gan.runs import checkpoints
from gan.runs.run_directory import Run

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
BUSY = 0.7  # cores that others keep at work, from which on equal time is not equal work


class Stopped(Exception):
    """Somebody wants it all to end, with this exit code; what was done is kept."""


def run_process(command: list[str]) -> int:
    """Runs a command, which shows what it prints, and returns its exit code, negative where a signal ended it.

    Raises Stopped where it, or we meanwhile, were told to end: it is told too, once for every time, and waited for.
    What we ignore (SIGHUP, under nohup) it ignores as well.
    """
    told, early, process = [], [], None

    def hand_on(number, frame):
        told.append(number)
        if process is None:
            early.append(number)
        elif os.name == "posix":  # Windows tells it by itself
            process.send_signal(number)

    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, hand_on) for number in heard}
    try:
        # A session of its own: a terminal's Ctrl-C would reach it a second time, which ends it without saving.
        process = subprocess.Popen(command, start_new_session=True)
        for number in early:  # while it was being started
            process.send_signal(number if os.name == "posix" else signal.SIGTERM)
        code = process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if told or code - 128 in SIGNALS:
        raise Stopped(128 + told[0] if told else code)
    return code


def read_sessions(run: Run) -> list[dict]:
    """A run's sittings so far; the last one has no exit code where it was killed, this process with it."""
    path = run.folder / "sittings.json"
    return read_json(path, list, {"machine", "minutes", "code"}) if path.exists() else []


def is_trained(run: Run, minutes: float) -> bool:
    """Whether a run has had all its time."""
    return any(sitting["code"] == 0 and sitting["minutes"] >= minutes for sitting in read_sessions(run))


def train_session(command: list[str], run: Run, machine: dict, minutes: float) -> int:
    """Trains for one sitting, and keeps an account of it. Returns the exit code; raises Stopped as `call` does."""
    others = busy_cores(1.0)
    if others is not None and others > BUSY:
        print(
            f"compare: warning: other work keeps this machine busy ({others:.1f} cores), so that equal time is not"
            " equal work. Stop it, or compare later.",
            file=sys.stderr,
        )
    account = {
        "machine": machine, "minutes": minutes, "others": [others, None], "shared": False, "wall_seconds": None,
        "code": None,
    }  # fmt: skip
    before = read_sessions(run)
    write_json(run.folder / "sittings.json", [*before, account])
    start, busy, ours = time.monotonic(), machines.busy(), child_cpu_seconds()
    try:
        account["code"] = run_process(command)
    except Stopped as stopped:
        account["code"] = stopped.args[0]
        raise
    finally:
        wall = time.monotonic() - start
        account["wall_seconds"] = round(wall, 1)
        if busy is not None:
            meanwhile = round(max(0.0, machines.busy() - busy - (child_cpu_seconds() - ours)) / wall, 2)
            account |= {"others": [others, meanwhile], "shared": meanwhile > BUSY}
        write_json(run.folder / "sittings.json", [*before, account])
    return account["code"]


def busy_cores(seconds: float) -> float | None:
    """How many cores are at work while we wait, None where the system does not tell."""
    before = machines.busy()
    if before is None:
        return None
    time.sleep(seconds)
    return round((machines.busy() - before) / seconds, 2)


def child_cpu_seconds() -> float:
    """Seconds of a core that the processes we started, and saw end, have used."""
    times = os.times()
    return times.children_user + times.children_system


def find_scores(run: Run, samples: int, networks: list[str], weights: str) -> dict | None:
    """The newest scores of a run's best or last generator, where there are some that were measured so.

    Raises UsageError where there are none and the best generator, which would be scored, was removed.
    """
    path, best = run.folder / "scores.json", run.folder / "best.json"
    if weights == "best" and best.exists():  # whatever became of the file that was scored
        name, iteration = "best.keras", read_json(best, names={"iteration"})["iteration"]
    else:
        file, iteration = run.find_generator(best=False)
        name = file.name
    found = read_json(path, list, {"protocol", "generator", "scores"}) if path.exists() else []
    for score in reversed(found):  # a measurement is added at the end
        alike = matches_protocol(score["protocol"], samples, networks)
        if alike and score["generator"] == {"file": name, "iteration": iteration}:
            return score
    if name == "best.keras" and not (run.folder / name).exists():
        raise UsageError(
            f"{run.folder} has no best.keras any more, and no scores of it that were measured so. --weights last"
            " scores last generators."
        )
    return None


def matches_protocol(protocol: dict, samples: int, networks: list[str]) -> bool:
    """Whether a score is of so many samples, by these networks, against the faces that the run held out."""
    found = (protocol["samples"], protocol["seed"], set(protocol["networks"]), protocol["reference"].get("data"))
    return found == (samples, 0, set(networks), HELD_OUT)


def require_accepted(code: int, what: str, run: Run) -> None:
    """Raises UsageError where a process ended as after a usage mistake, which it has named."""
    if code == UsageError.exit_code:
        raise UsageError(
            f"the {what} of {run.folder.name} was refused, as told above; so nothing more is tried. What was done is"
            " kept: put right, the same command goes on."
        )


def describe_exit(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def collect_facts(run: Run) -> dict:
    """What a run did in its time, and what it took; raises UsageError where what tells that was removed."""
    if gone := missing_files(run):
        raise UsageError(
            f"{run.folder} has no {' and no '.join(gone)} any more, and so nothing tells what was trained there."
            " Put that back, or remove the folder: the same command trains it again."
        )
    iterations, images, seconds = map(float, run.read_log(1)[-1, :3])
    scores, had = run.read_scores(), read_sessions(run)
    return {
        "config": {name: value for name, value in run.read_config().items() if name not in ("cache_dir", "run")},
        "weights": checkpoints.count_weights(checkpoints.list_paths(run.checkpoints)[-1]),
        "seconds": seconds,
        "iterations": int(iterations),
        "images": int(images),
        "images_per_second": images / seconds,
        "scoring_share": scores[-1]["cost"] / seconds if scores else 0.0,
        "wall_seconds": sum(sitting["wall_seconds"] or 0 for sitting in had),
        "machine": had[-1]["machine"],
        "sittings": had,
    }


def missing_files(run: Run) -> list[str]:
    """What `facts` needs and is not there."""
    return [
        *([] if len(run.read_log(1)) else ["log.csv"]),
        *([] if checkpoints.list_paths(run.checkpoints) else ["checkpoints"]),
    ]
