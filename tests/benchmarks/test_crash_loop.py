"""Which moments the crash loop chooses, and what it takes for a finding; and some rounds of it."""

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import crash_loop
from benchmarks.crash_loop import KILLED, Part, choose_injection, find_problem, find_window, name_moment
from benchmarks.injection import Injection, build_library
from gan.errors import RunError, UsageError

ROOT = Path(__file__).parents[2]
SAVE = (
    ["/output/it/log.csv"] * 3 + ["/output/it/checkpoints/.{}.npz.x.part"] * 9 + ["/output/it/.000002.png.x.part"] * 5
)
PATHS = ["/cache/.a.npy.x.part"] * 7 + [path.format(i) for i in range(10) for path in SAVE]


@pytest.mark.parametrize(
    ("path", "window"),
    [
        ("/cache/.27e7.json.x.part", "cache"),
        ("/output/.index.html.x.part", "page"),
        ("/output/it/checkpoints/.000000002.npz.x.part", "checkpoint"),
        ("/output/it/.best.keras.x.part", "best model"),
        ("/output/it/.generator.part.keras", "generator"),
        ("/output/it/.loss.png.x.part", "chart"),
        ("/output/it/.000012.png.x.part", "grid"),
        ("/output/it/metrics.csv", "tables"),
        ("/output/it/.config.json.x.part", "claim"),
        ("/output/it", "folder"),
    ],
)
def test_find_window(path, window):
    """What is written is known by the path of its file, temporary or not."""
    assert find_window(path) == window


@pytest.mark.parametrize(
    ("paths", "delay", "moment"),
    [
        ([], 5, "start"),
        (["/output"], 0, "start"),
        (["/output/.index.html.x.part", "/output"], 0, "page"),
        (["/output/it/.best.json.x.part"], 0, "best model"),
        (["/output/it/log.csv"], 5, "scoring"),
        (["/output/it/log.csv", "/output/.index.html.x.part"], 5, "steps"),
        (["/output/it/checkpoints/000000002.npz"], 5, "after checkpoint"),
    ],
)
def test_name_moment(paths, delay, moment):
    """A kill without a delay is in the last call, one with a delay is in what comes next."""
    assert name_moment(paths, delay) == moment


@pytest.mark.parametrize(("window", "longest"), [("cache", 7), ("checkpoint", 9), ("grid", 5), ("samples", 1)])
@pytest.mark.parametrize("fault", [0, errno.EIO])
def test_choose_injection(window, longest, fault):
    """The calls are those of that window, up to half as many again as come together; half of the kills have delays."""
    chosen = [choose_injection(random.Random(i), PATHS, window, fault, 4.0) for i in range(200)]
    assert {one.pattern for one in chosen} <= set(crash_loop.WINDOWS[window]) and {one.fault for one in chosen} == {
        fault
    }
    assert {one.at for one in chosen} == set(range(1, longest + longest // 2 + 1))
    assert all(len(PATHS) / 10 - 1 <= one.last - crash_loop.START_CALLS <= 3 * len(PATHS) / 10 for one in chosen)
    delayed = [one.delay for one in chosen if one.delay]
    assert not delayed if fault else 60 < len(delayed) < 140 and 100 <= min(delayed) < max(delayed) <= 1_600_000


def test_choose_the_start():
    """Kills at the start are spread over it."""
    chosen = [choose_injection(random.Random(i), PATHS, "start", 0, 4.0) for i in range(200)]
    assert {one.at for one in chosen} == {0}
    assert min(one.delay for one in chosen) < 200_000 and 3_800_000 < max(one.delay for one in chosen) <= 4_000_000


WARNING, MESSAGE = "train.py: warning: the page is not up to date\n", "train.py: No space left on device\n"


@pytest.mark.parametrize(
    ("code", "log", "failed", "found"),
    [
        *((0, "", False, ""), (KILLED, "", False, ""), (KILLED, WARNING, True, ""), (0, WARNING, True, "")),
        *((1, WARNING + MESSAGE, True, ""), (2, MESSAGE, True, "")),
        (1, MESSAGE, False, "ended with 1"),
        (1, "", True, "ended with 1 and 0 lines"),
        (1, MESSAGE + MESSAGE, True, "ended with 1 and 2 lines"),
        (1, "ValueError: closed", True, "ended with 1 and 1 lines"),
        (0, "the cache is damaged", True, "ended with 0 and 1 lines"),
        (-11, "", True, "ended with -11"),
        (70, "Traceback ...", True, "ended with 70"),
        (None, "", True, "had not ended"),
    ],
)
def test_find_problem(code, log, failed, found):
    """A kill and 0 are right, and 1 or 2 with one line where a call has failed; a warning is no line."""
    problem = find_problem(code, log, "train.py", failed)
    assert found in problem and bool(problem) is bool(found)


def test_a_finding(tmp_path):
    """A command whose end differs from the reference is a finding, and its folder stays; so is one that fails alone."""
    ends = iter([b"whole", b"other"])

    def start(folder, injection, log, trace):
        log.touch()
        (folder / ".lock").write_bytes(next(ends)[: 3 if folder.name == "run" else 5])
        return 0

    part = Part(tmp_path / "part", start, "it", 1.0, short=True)
    part.make_reference()
    (tmp_path / "part" / "run").mkdir()
    with pytest.raises(RunError, match=r"differs .* in \.lock"):
        part.run(0, 0, seed=0)
    assert (tmp_path / "part" / "run" / ".lock").exists()
    with pytest.raises(RunError, match="alone ends with 3"):
        Part(tmp_path / "new", lambda *_: 3, "it", 1.0, short=True).run(1, 0, seed=0)


def test_counts_are_kept(tmp_path):
    """Kills and faults are counted by moment, and the same command goes on with them."""
    trace = ["open /output/it/checkpoints/.1.x.part"] * 3

    def start(folder, injection, log, trace_path):
        log.write_text("it: no space\n" if injection.fault else "")
        trace_path.write_text("\n".join(trace))
        return 0 if injection == Injection() else 1 if injection.fault else KILLED

    part = Part(tmp_path / "part", start, "it", 1.0, short=True)
    part.run(0, 0, seed=0)
    (tmp_path / "part" / "run").mkdir(exist_ok=True)
    part.run_round(Injection("/checkpoints", 2), "checkpoint")
    part.run_round(Injection("/checkpoints", 3, fault=errno.ENOSPC), "checkpoint")
    part.save()
    again = Part(tmp_path / "part", start, "it", 1.0, short=True)
    again.load()
    assert again.kills == {"checkpoint": 1} and again.faults == {"ENOSPC in checkpoint, ended": 1}
    assert any("killed in checkpoint: 1" in line for line in crash_loop.describe(again))


@pytest.fixture
def library(tmp_path):
    """The library of the crash loop."""
    try:
        return build_library(tmp_path)
    except UsageError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_some_rounds_of_the_writer(tmp_path, library):
    """Every file is whole after 15 kills and some faults; the ends are equal."""
    counts = ["--kills", "0", "--faults", "0", "--writer-kills", "15", "--writer-faults", "6"]
    line = [sys.executable, "-m", "benchmarks.crash_loop", "--out", str(tmp_path / "out"), *counts]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INJECT_")}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    saved = json.loads((tmp_path / "out/writer/part.json").read_text())
    assert sum(saved["kills"].values()) >= 15 and sum(saved["faults"].values()) >= 6
    assert not (tmp_path / "out/writer/run").exists()


@pytest.mark.slow(minutes=1)
def test_a_round_of_training(tmp_path, library, monkeypatch):
    """A training of networks that are soon built ends as one does that is not killed, and in which no call fails."""
    monkeypatch.setattr(crash_loop, "TINY", [*crash_loop.TINY, "--generator", "dense", "--discriminator", "dense"])
    part = Part(tmp_path / "training", crash_loop.start_training(2, library), "train.py", 4.0, short=False)
    part.run(1, 1, seed=0)
    assert part.kills.total() >= 1 and part.faults.total() >= 1 and not (tmp_path / "training/run").exists()
