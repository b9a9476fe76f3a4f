"""benchmarks/memory.py: its cases, one of them in full, and what it refuses."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import memory
from gan.recipes import RECIPES

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system does not report peaks of memory")


def test_every_recipe_is_a_case(monkeypatch):
    """All cases parse, and the recipes are among them as they are."""
    assert {f"--recipe {name}" for name in RECIPES} <= set(memory.parse([]))
    assert memory.parse(["--width", "8"]) == ["--width 8"]


def test_every_case_is_in_the_docs():
    """docs/reliability.md has a row for each case, with a ratio within the limits."""
    text = (ROOT / "docs/reliability.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(--recipe .*?)` \|.*\| ([\d.]+) \|$", text, re.MULTILINE))
    assert rows.keys() == set(memory.CASES)
    assert all(1 / memory.FACTOR < float(ratio) < memory.FACTOR for ratio in rows.values())


@pytest.mark.slow
def test_a_small_case_in_full(tmp_path):
    """Estimate and peak are within a factor of 1.5, and the last line is one JSON document."""
    flags = ["--width", "2", "--batch-size", "2", "--image-size", "16", "--limit", "60", "--cache-dir", str(tmp_path)]
    # A process of its own, as the peak of a new process is at first that of the one that starts it.
    done = subprocess.run([sys.executable, "-m", "benchmarks.memory", *flags], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    (case,) = found["cases"]
    assert case["flags"] == shlex.join(flags)
    assert found["lowest_ratio"] == found["highest_ratio"] == case["ratio"]
    assert case["ratio"] == pytest.approx(case["estimate_mb"] / case["peak_mb"], rel=0.01)
    assert case["peak_mb"] > 300


@pytest.mark.parametrize(("peak", "code"), [(1000, 0), (1400, 0), (1600, 1), (700, 0), (600, 1)])
def test_a_wrong_estimate_fails(monkeypatch, capsys, peak, code):
    """The exit code is 1 beyond a factor of 1.5 on either side of 1,000 MB."""
    monkeypatch.setattr(memory, "estimate", lambda case: 1000e6)
    monkeypatch.setattr(memory, "measure", lambda case: peak * 1e6)
    assert memory.main(["--width", "4"]) == code
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["cases"][0]["peak_mb"] == peak


def test_a_training_that_fails_is_named(tmp_path, capsys):
    """Exit code 1, the case and what train.py said."""
    assert memory.main(["--data", str(tmp_path)]) == 1
    printed = capsys.readouterr().err
    assert "--data" in printed and "train.py" in printed


def test_a_mistyped_flag_is_a_usage_mistake():
    """Before anything is measured."""
    with pytest.raises(SystemExit) as stopped:
        memory.main(["--bogus"])
    assert stopped.value.code == 2
