"""The tools that use a generator, and the gallery, on runs in every state: each works, or a line says what to type."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan.cli import run_command
from gan.runs.run_directory import Run
from gan.signals import handle_signals, interrupt
from tools import audit, compare, evaluate, export, gallery, generate, interpolate, project, timelapse

ROOT = Path(__file__).parent.parent
TOOLS = {
    "generate": (generate, ["--count", "4"], "generated.png"),
    "interpolate": (interpolate, ["--frames", "8"], "walk.gif"),
    "timelapse": (timelapse, [], "timelapse.gif"),
    "project": (project, ["--photo", "me.png"], "project.png"),
    "export": (export, ["--to", "keras"], "export/generator.keras"),
}


pytestmark = pytest.mark.usefixtures("short_search", "eagerly")


def in_training(run):
    """Another process has the folder, and is writing a row of its log."""
    with open(run / "log.csv", "a") as log:
        log.write("5,40,0.1")
    return Run(run).lock()


def a_checkpoint_alone(run):
    """Its generators were removed, best.json was not."""
    (run / "generator.keras").unlink()
    (run / "best.json").write_text(json.dumps({"iteration": 2, "network": "onet", "kid": 1.0}))


def of_an_older_version(run):
    """From before most settings; its scores do not name their reference."""
    saved = json.loads((run / "config.json").read_text())
    kept = ("image_size", "noise_distribution", "width", "noise_size", "batch_size", "precision", "cache_dir", "limit")
    (run / "config.json").write_text(json.dumps({name: saved[name] for name in kept}))
    protocol = {"samples": 64, "weights": "averaged", "reference": {"faces": 60, "digest": "ab"}, "networks": {}}
    copies = {"ratio": 1.0, "low": 0.9, "high": 1.1, "share": 0.0, "copying": False, "in_words": "no sign of copying"}
    scores = {"fd-onet": 9.0, "kid-onet": 1.0, "memorisation": copies}
    result = {"protocol": protocol, "generator": {"file": "generator.keras", "iteration": 4}, "scores": scores}
    (run / "scores.json").write_text(json.dumps([result]))


def without_its_data(run):
    """The folder of photographs was moved."""
    saved = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**saved, "data": "gone"}))


@pytest.mark.parametrize(
    "state",
    [
        in_training,
        *(pytest.param(s, marks=pytest.mark.slow) for s in (a_checkpoint_alone, of_an_older_version, without_its_data)),
    ],
)
def test_every_tool_works(tiny, capsys, state):
    """Each makes its file out of what is there, in a thread as well, and the page shows the run."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save("me.png")
    with state(tiny) or contextlib.nullcontext(), ThreadPoolExecutor(1) as thread:
        for name, (tool, arguments, made) in TOOLS.items():
            code = thread.submit(tool.main, [str(tiny), *arguments]).result()
            assert code == 0, (name, capsys.readouterr().err)
            assert (tiny / made).stat().st_size > 100, name
        assert gallery.main(["output"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{Path('output/index.html')}: 1 runs"


@pytest.mark.parametrize("name", TOOLS)
def test_what_is_no_run(tiny, capsys, name):
    """A name that is none, and a run that has nothing yet: exit 2, a line that says what there is or what to type."""
    tool, arguments, _ = TOOLS[name]
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save("me.png")
    assert tool.main(["output/tyni", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: output/tyni ") and line.endswith(" output/tiny")
    shutil.rmtree(tiny / "checkpoints")
    for path in [*tiny.glob("*.keras"), *tiny.glob("0*.png")]:
        path.unlink()
    assert tool.main([str(tiny), *arguments]) == 2
    printed = capsys.readouterr().err
    assert " with: python train.py " in printed and printed.count("\n") == 1


@pytest.mark.parametrize(
    ("tool", "line", "flag"),
    [
        (generate, [""], "output/RUN"),
        (generate, ["output/tiny", "--out", ""], "--out"),
        (project, ["output/tiny", "--photo", " "], "--photo"),
        (gallery, ["~nobody-of-that-name"], "folder"),
        (evaluate, ["output/tiny", "--reference", ""], "--reference"),
        (compare, ["--recipes", "default", "--minutes", "1", "--data", ""], "--data"),
    ],
)
def test_empty_paths(tiny, capsys, tool, line, flag):
    """An empty path, which would be the current folder, and the home of nobody are refused with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        tool.main(line)
    assert stop.value.code == 2 and flag in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tool", "line", "flag"),
    [
        (interpolate, ["--distance", "0.2"], "--distance"),
        (project, ["--crop", "64"], "--crop"),
        (audit, ["--raw", "--weights", "last"], "--raw"),
    ],
)
def test_flags_that_would_do_nothing(capsys, tool, line, flag):
    """A flag without the one that it belongs to is refused with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        tool.main(["output/tiny", *line])
    assert stop.value.code == 2 and f"argument {flag}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "arguments", "code", "printed"),
    [
        ("tools/evaluate.py", ["output/tyni"], 2, "There are: output/tiny"),
        ("tools/gallery.py", [], 0, "output/index.html: 1 runs"),
        ("tools/compare.py", ["--name", "it", "--table"], 2, "results/it.json"),
        ("benchmarks/speed.py", ["--help"], 0, "--rounds"),
        ("train.py", ["--data", "no/such/place"], 2, "no/such/place"),
    ],
)
def test_commands_as_files(tiny, name, arguments, code, printed):
    """A command runs by the path of its file from any folder, and its paths start from there."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    line = [sys.executable, ROOT / name, *arguments]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == code and printed in done.stdout + done.stderr, done.stderr


def test_paths_from_the_home_folder(tiny, monkeypatch):
    """~ in the run and in --out is the home folder."""
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.setenv("USERPROFILE", str(Path.cwd()))
    assert generate.main(["~/output/tiny", "--count", "4", "--out=~/four.png"]) == 0
    assert Path("four.png").exists() and not Path("~").exists()


@pytest.mark.parametrize("kind", ["NumPy", "TensorFlow", "a library"])
def test_exhausted_memory_is_one_line(capsys, kind):
    """Wherever it happens; other errors of TensorFlow are mistakes of the program, and go on."""
    import tensorflow as tf

    def fail():
        if kind == "NumPy":
            raise MemoryError
        if kind == "a library":
            raise ImportError("libx.so: failed to map segment from shared object")
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\ntensor")

    assert run_command("tool", fail, failed=". Whole.") == 1
    printed = capsys.readouterr().err
    assert "out of memory" in printed and printed.endswith(". Whole.\n") and printed.count("\n") == 1
    with pytest.raises(tf.errors.InternalError):
        run_command("tool", lambda: (_ for _ in ()).throw(tf.errors.InternalError(None, None, "x")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_exit_codes_of_signals(number, capsys):
    """Ctrl-C ends with 130, and a signal that is handled like it with 128 and its own number."""
    with handle_signals([signal.SIGTERM], interrupt):
        assert run_command("tool", lambda: signal.raise_signal(number), stopped="stopped.") == 128 + number
    assert capsys.readouterr().err == "tool: stopped.\n"
