"""benchmarks/soak.py: readings from /proc, the comparison of windows, and a short run of the command."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import soak

ROOT = Path(__file__).parents[2]
TINY = ["--image-size", "16", "--width", "4", "--batch-size", "8", "--limit", "60", "--depth", "0"]
TINY += ["--precision", "float32", "--generator", "dense", "--discriminator", "dense", "--penalty", "none"]
LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


def readings(minutes, rss_mb=lambda minute: 900.0, files=lambda minute: 9, threads=lambda minute: 5):
    """A reading every 10 seconds."""
    times = [i / 6 for i in range(6 * minutes)]
    return [{"seconds": 60 * t, "rss_mb": rss_mb(t), "files": files(t), "threads": threads(t)} for t in times]


def test_a_sawtooth_is_flat():
    """Memory of 900 MB, and of 1,000 MB and one more file in each sixth reading; what comes before is the warm-up."""
    tooth = lambda minute: round(6 * minute) % 6 == 0  # noqa: E731
    rows = readings(
        40, lambda m: 1000.0 if tooth(m) else 900.0 if m >= 10 else 500.0 + m, lambda m: 10 if tooth(m) else 9
    )
    found = soak.summarize(rows, 40)
    assert found["flat"] and found["drift_percent"] == 0
    assert (found["rss_mb_first"], found["rss_mb_last"], found["windows"]) == (900.0, 900.0, 6)
    assert (found["files"], found["files_levels"], found["threads"]) == ([9, 10], [9], [5, 5])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_drift_is_measured_from_the_first_window(sign):
    """1 MB a minute from 1,000 MB at ten minutes: the levels of [10, 15) and [35, 40) are 25 MB apart."""
    rows = readings(40, lambda minute: 1000.0 + sign * (minute - 10))
    found = soak.summarize(rows, 40)
    assert not found["flat"]
    assert found["drift_percent"] == pytest.approx(100 * 25 / found["rss_mb_first"], abs=0.01)


@pytest.mark.parametrize("leaking", ["files", "threads"])
def test_one_more_file_or_thread_is_not_flat(leaking):
    """One that is open from the half hour on."""
    found = soak.summarize(readings(40, **{leaking: lambda minute: 9 + (minute >= 30)}), 40)
    assert not found["flat"] and found["drift_percent"] == 0
    assert found[leaking] == found[f"{leaking}_levels"] == [9, 10]


def test_a_soak_that_ended_at_once_is_not_flat():
    assert soak.summarize(readings(5), 120) == {"flat": False}


@LINUX
def test_files_and_threads_of_a_process(tmp_path):
    """A Python that opens a file more has one more; one that has ended has no readings."""
    code = "import sys; print(flush=True); input(); f = open(sys.argv[1], 'w'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "x")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()  # before, files are open that Python starts with
        before = soak.read_process(child.pid)
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        after = soak.read_process(child.pid)
        child.stdin.close()
        child.stdout.read()
    assert after["files"] == before["files"] + 1 and after["threads"] == 1
    assert 1 < after["rss_mb"] < 1000
    assert soak.read_process(child.pid) is None


def test_memory_is_read_in_decimal_megabytes(tmp_path):
    """As /proc has it, kB are 1,024 bytes."""
    (tmp_path / "7" / "fd").mkdir(parents=True)
    (tmp_path / "7" / "task" / "12").mkdir(parents=True)
    (tmp_path / "7" / "status").write_text("Name:\tpython\nVmHWM:\t9000 kB\nVmRSS:\t 1000000 kB\n")
    assert soak.read_process(7, tmp_path) == {"rss_mb": 1024.0, "files": 0, "threads": 1}
    (tmp_path / "7" / "status").write_text("Name:\tpython\nState:\tZ (zombie)\nThreads:\t1\n")
    assert soak.read_process(7, tmp_path) is None


@LINUX
@pytest.mark.slow
def test_a_short_soak(tmp_path):
    """The command trains, stops after its time, writes its readings, and prints one JSON document."""
    command = [sys.executable, "-m", "benchmarks.soak", "--minutes", "0.4", "--run", "short", *TINY]
    command += ["--score-every", "5", "--sample-every", "5", "--score-samples", "64", "--cache-dir", str(tmp_path)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert done.returncode == (not found["flat"])  # too short to be flat for certain
    assert found["exit_code"] == 143
    assert found["minutes"] == 0.4 and found["config"]["width"] == 4
    with open(tmp_path / "soak.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == soak.COLUMNS and len(rows) > 10


def test_a_system_without_proc_is_refused(monkeypatch, capsys):
    """Exit code 2, and no training."""
    monkeypatch.setattr(soak.Path, "exists", lambda path: False)
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: pytest.fail("it trains"))
    assert soak.main(["--minutes", "1"]) == 2
    assert "/proc" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--minutes", "0"], ["--minutes", "x"], ["--bogus"]])
def test_a_mistyped_flag_is_a_usage_mistake(flags):
    """Our own flags and those of train.py are checked before anything starts."""
    with pytest.raises(SystemExit) as stopped:
        soak.main(flags)
    assert stopped.value.code == 2
