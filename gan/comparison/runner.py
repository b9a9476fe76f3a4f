"""Runner of a comparison: trains and scores one run, each in a process of its own, and records where and when.

exit_code = train_session(["python", "train.py", ...], run, machine, minutes)  # adds to sessions.json
row = train_and_score(run, train, evaluate, machine, document)
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

from gan import config as configs
from gan.comparison import hardware
from gan.errors import RunError, UsageError
from gan.files import damaged_file_error, has_values, read_json, write_json
from gan.metrics.evaluation import HELD_OUT_NAME, name_half, protocol_differences
from gan.runs import checkpoints, legacy
from gan.runs.run_directory import Run
from gan.signals import STOPS, handle_signals, heeded_stops

SESSION = {
    "machine": dict, "minutes": int | float, "exit_code": int | None, "other_cores": int | float | None, "shared": bool,
    "wall_seconds": int | float | None,
}  # fmt: skip
BUSY = 0.7  # cores that other work may keep busy before equal time is no longer equal work


class Stopped(Exception):
    """A signal ended the comparison, with this exit code; what was done is kept."""


def run_process(command: list[str]) -> int:
    """Runs a command and returns its exit code, negative if a signal killed it. Its output goes to the terminal.

    Signals that this process receives are passed on to the command, which is waited for. Signals that this process
    ignores (SIGHUP, under nohup) the command ignores as well, but for Ctrl-C. Raises Stopped if either received one.
    """
    received, early, process = [], [], None

    def pass_on(number, frame):
        received.append(number)
        if process is None:
            early.append(number)
        elif os.name == "posix":  # Windows passes it on by itself
            process.send_signal(number)

    with handle_signals(heeded_stops(), pass_on):
        # A session of its own: a terminal's Ctrl-C would reach it a second time, which ends it without saving.
        process = subprocess.Popen(command, start_new_session=True)
        for number in early:  # while it was being started
            process.send_signal(number if os.name == "posix" else signal.SIGTERM)
        code = process.wait()
    if received or code - 128 in STOPS:
        raise Stopped(128 + received[0] if received else code)
    return code


def read_sessions(run: Run) -> list[dict]:
    """Reads the training sessions of a run so far. The last has no exit code if this process was killed as well."""
    path = legacy.find(run.folder, "sessions.json")
    sessions = [legacy.translate_session(session) for session in (read_json(path, list) if path.exists() else [])]
    if not all(has_values(session, SESSION) for session in sessions):
        raise damaged_file_error(path)
    return sessions


def is_trained(run: Run, minutes: float) -> bool:
    """Whether a run has been trained for that long."""
    return any(one["exit_code"] == 0 and one["minutes"] >= minutes for one in read_sessions(run))


def find_conflicts(run: Run, config: configs.Config, title: str, machine: dict, rows: list[dict]) -> list[str]:
    """Lists why a new row would not compare with the rows that are there, or with what is in its run's folder.

    Those are other settings or a longer training of that run, other data, and another machine, whose equal times are
    not equal work. `title` is that of the data. Avatars depend on the seed, so only runs of one seed have the same.
    """
    if run.tables.log.exists():
        rows = [*rows, {"run": config.name, "config": run.read_config(), "sessions": read_sessions(run)}]
    wanted = json.loads(json.dumps(dataclasses.asdict(config))) | {"faces": title}
    wanted["precision"] = configs.choose_precision(config, machine["precision"])
    lines = []
    for row in rows:
        saved, name = row["config"], f"{row['run']}: "
        if saved.get("align") == "auto":  # of an older version, which did not record what it came to
            saved = saved | {"align": wanted["align"]}
        for session in row["sessions"]:
            lines += protocol_differences(session["machine"], machine, name)
        if row["run"] == config.name:
            lines += [name + line for line in configs.differences(saved, wanted, legacy.DEFAULTS)]
            if (minutes := saved.get("minutes", 0)) > config.minutes:
                lines.append(f"{name}minutes: {minutes:g} there, {config.minutes:g} here")
        elif config.data != ("avatars",) or saved.get("seed", 0) == config.seed:
            lines += [name + line for line in configs.differences({"faces": saved.get("faces")}, {"faces": title})]
    return lines


def train_and_score(run: Run, train: list[str], evaluate: list[str], machine: dict, document: dict) -> dict:
    """Trains and scores a run by two commands, as far as that is not done yet. Returns its row of the results.

    Arguments:
        train, evaluate: the commands.
        machine: as from `gan.comparison.hardware.describe_machine`.
        document: of the comparison, which has the minutes of the training, and what a score depends on.

    Raises Stopped, RunError where a command fails, and UsageError where a file of the run is damaged.
    """
    if not is_trained(run, document["minutes"]):
        require_success(train_session(train, run, machine, document["minutes"]), "training", run)
    scored = document["samples"], document["networks"], document.get("half", "")
    result = find_scores(run, *scored)
    if not result:
        require_success(run_process(evaluate), "evaluation", run)
        result = find_scores(run, *scored)
    if not result:
        raise RunError(f"{run.folder.name}: the evaluation left no scores")
    return collect_row(run) | result


def train_session(command: list[str], run: Run, machine: dict, minutes: float) -> int:
    """Trains for one session, adds it to sessions.json and returns the exit code. Raises Stopped.

    Warns of other work that kept more than `BUSY` cores busy meanwhile.
    """
    session = {"machine": machine, "minutes": minutes, "other_cores": None, "shared": False, "wall_seconds": None}
    earlier = read_sessions(run)
    start, busy, ours = time.monotonic(), hardware.read_busy_seconds(), read_child_seconds()
    code = None
    write_json(run.folder / "sessions.json", [*earlier, session | {"exit_code": None}])
    try:
        code = run_process(command)
    except Stopped as stopped:
        code = stopped.args[0]
        raise
    finally:
        wall = time.monotonic() - start
        session["wall_seconds"] = round(wall, 1)
        if busy is not None:
            others = round(max(0.0, hardware.read_busy_seconds() - busy - (read_child_seconds() - ours)) / wall, 2)
            session |= {"other_cores": others, "shared": others > BUSY}
        if session["shared"]:
            print(
                f"compare: warning: other work kept {others:.1f} cores busy, so that equal time was not equal work.",
                file=sys.stderr,
            )
        write_json(run.folder / "sessions.json", [*earlier, session | {"exit_code": code}])
        legacy.remove(run.folder, "sessions.json")
    return code


def read_child_seconds() -> float:
    """Reads the core seconds of the processes that this one started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def find_scores(run: Run, samples: int, networks: list[str], half: str = "") -> dict | None:
    """Finds the newest evaluation of a run's best generator with that many samples and these networks, or None.

    It has to be against that half of the held-out images, or all of them.
    """
    path, iteration = run.find_generator()
    wanted = {"file": path.name, "iteration": iteration}, samples, 0, set(networks), name_half(HELD_OUT_NAME, half)
    for result in reversed(run.read_evaluations()):
        how = result["protocol"]
        try:
            found = how["samples"], how["seed"], set(how["networks"]), how["reference"].get("data")
        except (KeyError, TypeError, AttributeError):  # of another version
            continue
        if (result["generator"], *found) == wanted:
            return result
    return None


def require_success(code: int, work: str, run: Run) -> None:
    """Raises RunError where a process failed, or was refused: others may not be."""
    if code == UsageError.exit_code:
        raise RunError(f"{run.folder.name}: the {work} was refused, for the reason above")
    if code:
        end = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise RunError(f"{run.folder.name}: the {work} {end}")


def collect_row(run: Run) -> dict:
    """Collects settings, sizes, speed and sessions of a run. Raises UsageError without a log or checkpoints."""
    log, paths, scores = run.tables.read_log(), checkpoints.list_paths(run.checkpoints), run.tables.read_scores()
    if not len(log.get("seconds", ())) or not paths:
        raise UsageError(
            f"{run.folder} has no log.csv or no checkpoints any more. Put them back, or remove the folder: the same"
            " command trains it again."
        )
    seconds, sessions = float(log["seconds"][-1]), read_sessions(run)
    if seconds <= 0:
        raise damaged_file_error(run.tables.log)
    try:
        weights = checkpoints.count_weights(paths[-1])
    except ValueError:
        raise damaged_file_error(paths[-1]) from None
    return {
        "config": {
            name: value for name, value in run.read_config().items() if name not in ("cache_dir", "output", "run")
        },
        "weights": weights,
        "seconds": seconds,
        "iterations": int(log["iteration"][-1]),
        "images": int(log["images"][-1]),
        "images_per_second": float(log["images"][-1]) / seconds,
        "scoring_share": scores[-1]["eval_seconds"] / seconds if scores else 0.0,
        "wall_seconds": sum(one["wall_seconds"] or 0 for one in sessions),
        "sessions": sessions,
    }
