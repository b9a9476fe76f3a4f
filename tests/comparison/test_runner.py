"""Processes of a comparison: signals, exit codes, and the record of each training session."""

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sample_runs import make_evaluation, make_run

from gan.comparison import hardware, runner
from gan.errors import UsageError
from gan.files import write_json
from gan.runs.run_directory import Run


def test_ctrl_c_is_passed_on_once_and_waited_for(tmp_path):
    """SIGINT is passed on; the process ends as it likes, and its exit code is the comparison's."""
    done = tmp_path / "received"
    script = (
        "import pathlib, signal, sys, time\n"
        "times = []\n"
        "signal.signal(signal.SIGINT, lambda *_: times.append(1))\n"
        "pathlib.Path(sys.argv[1]).with_suffix('.up').touch()\n"
        "end = time.time() + 30\n"
        "while not times and time.time() < end: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "pathlib.Path(sys.argv[1]).write_text(str(len(times)))\n"
        "sys.exit(130)\n"
    )

    def interrupt():
        while not done.with_suffix(".up").exists():
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(runner.Stopped) as stopped:
        runner.run_process([sys.executable, "-c", script, str(done)])
    thread.join()
    assert stopped.value.args == (130,) and done.read_text() == "1"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert runner.run_process([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    with pytest.raises(runner.Stopped, match="143"):  # a signal to that process alone
        runner.run_process([sys.executable, "-c", "raise SystemExit(143)"])


def test_a_signal_during_the_start_is_passed_on(monkeypatch):
    """Ctrl-C before the process exists is passed on as soon as it does."""
    start = subprocess.Popen

    def slowly(*given, **more):
        os.kill(os.getpid(), signal.SIGINT)
        return start(*given, **more)

    monkeypatch.setattr(subprocess, "Popen", slowly)
    with pytest.raises(runner.Stopped, match="130"):
        runner.run_process([sys.executable, "-c", "import time; time.sleep(30)"])


def test_what_is_ignored_stays_ignored():
    """Under nohup a hang-up ends neither the comparison nor the process, which ignores it as well."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    script = "import os, signal\nfor who in (os.getppid(), os.getpid()): os.kill(who, signal.SIGHUP)"
    try:
        assert runner.run_process([sys.executable, "-c", script]) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_a_thread():
    """A thread, which gets no signals, runs a process and waits for it."""
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(runner.run_process, [sys.executable, "-c", "raise SystemExit(3)"]).result(60) == 3


@pytest.mark.parametrize(("busy", "others", "shared"), [((100.0, 106.0), 2.5, True), ((100.0, 103.0), 1.0, False)])
def test_the_cores_at_others_work(tmp_path, monkeypatch, capsys, busy, others, shared):
    """In 2 seconds all cores worked for 6, or 3, of which our process had 1: others had 2.5 cores, or 1."""
    times, used, clock = iter(busy), iter([10.0, 11.0]), iter([50.0, 52.0])
    monkeypatch.setattr(hardware, "read_busy_seconds", lambda: next(times))
    monkeypatch.setattr(runner, "read_child_seconds", lambda: next(used))
    monkeypatch.setattr(runner.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(runner, "run_process", lambda command: 0)
    monkeypatch.setattr(runner, "BUSY", 1.5)
    run = Run(tmp_path)
    assert runner.train_session(["x"], run, {"cpu": "Xeon"}, 5.0) == 0
    [session] = json.loads((tmp_path / "sessions.json").read_text())
    assert (session["other_cores"], session["shared"], session["wall_seconds"]) == (others, shared, 2.0)
    assert ("cores busy" in capsys.readouterr().err) is shared and runner.is_trained(run, 5.0)


def test_where_the_system_does_not_tell(tmp_path, monkeypatch):
    """Nothing is recorded of other work, and nothing is said."""
    monkeypatch.setattr(hardware, "read_busy_seconds", lambda: None)
    monkeypatch.setattr(runner, "run_process", lambda command: 1)
    assert runner.train_session(["x"], Run(tmp_path), {}, 5.0) == 1
    [session] = runner.read_sessions(Run(tmp_path))
    assert (session["other_cores"], session["shared"], session["exit_code"]) == (None, False, 1)
    assert not runner.is_trained(Run(tmp_path), 5.0)


def test_the_newest_scores_of_that_protocol_are_found(tmp_path):
    """Not those of other samples, seeds, networks or generators, nor those against a --reference."""
    run = make_run(tmp_path, "run")
    (run.folder / "generator.keras").touch()
    generator = {"file": "generator.keras", "iteration": 4}
    protocol = {**make_evaluation()["protocol"], "samples": 64, "seed": 0}
    wanted = make_evaluation(generator=generator, protocol=protocol)
    newest = {**wanted, "scores": {**wanted["scores"], "kid-onet": 77.0}}
    changes = [
        {"samples": 128}, {"seed": 1}, {"networks": {"onet": {}, "vgg": {}}},
        {"reference": {"data": "orl", "faces": 500, "digest": "d"}}, {"reference": {"faces": 500, "digest": "d"}},
    ]  # fmt: skip
    others = [{**wanted, "protocol": {**protocol, **change}} for change in changes]
    others.append({**wanted, "generator": {**generator, "iteration": 3}})
    write_json(run.folder / "scores.json", [wanted, newest, *others])
    assert runner.find_scores(run, 64, ["onet"]) == newest
    write_json(run.folder / "scores.json", others)
    assert runner.find_scores(run, 64, ["onet"]) is None
    write_json(
        run.folder / "scores.json", [{**wanted, "protocol": {}}, {**wanted, "protocol": {**protocol, "seed": []}}]
    )
    assert runner.find_scores(run, 64, ["onet"]) is None
    write_json(run.folder / "scores.json", [{**wanted, "protocol": {**protocol, "networks": 3}}, wanted])
    assert runner.find_scores(run, 64, ["onet"]) == wanted


@pytest.mark.parametrize("change", [{"minutes": "10"}, {"exit_code": None, "machine": []}, {"shared": 1}])
def test_damaged_sessions(tmp_path, change):
    """A value of another type is named as damage."""
    session = {"machine": {}, "minutes": 1, "exit_code": 0, "other_cores": None, "shared": False, "wall_seconds": 1.5}
    write_json(tmp_path / "sessions.json", [session])
    assert runner.is_trained(Run(tmp_path), 1.0)
    write_json(tmp_path / "sessions.json", [session | change])
    with pytest.raises(UsageError, match=r"sessions\.json is damaged"):
        runner.is_trained(Run(tmp_path), 1.0)


def test_a_row_of_damaged_files(tmp_path):
    """A log without rows or without time, and a damaged checkpoint, are named."""
    run = make_run(tmp_path, "run")
    assert runner.collect_row(run)["weights"] == {"generator": 15, "discriminator": 7}
    checkpoint = run.checkpoints / "000000004.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-50])
    with pytest.raises(UsageError, match=r"000000004\.npz is damaged"):
        runner.collect_row(run)
    header = run.tables.log.read_text().splitlines()[0]
    for row, named in (("", "no log.csv"), ("1,8,0.0,1,1,1,1,,4", r"log\.csv is damaged")):
        run.tables.log.write_text(f"{header}\n{row}\n")
        with pytest.raises(UsageError, match=named):
            runner.collect_row(run)
