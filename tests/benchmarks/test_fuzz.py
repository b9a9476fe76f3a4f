"""The fuzzer finds what it is to find, repeats its cases, and finds nothing in the product."""

import functools
import json
from random import Random

import hostile_targets
import pytest

from benchmarks import fuzz, fuzz_worker
from benchmarks.fuzz_targets import TARGETS

QUICK = [name for name in TARGETS if name != "keras"]


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """A worker that knows the hostile targets, in a process of its own."""
    worker = fuzz.Worker(tmp_path_factory.mktemp("fuzz") / "stacks", hostile_targets.work)
    yield worker
    worker.close()


@pytest.mark.parametrize(
    ("name", "outcome"),
    [(name, {"left over": "outside", "executed": "outside"}.get(name, name)) for name in hostile_targets.HOSTILE],
)
def test_every_kind_of_finding(worker, tmp_path, name, outcome):
    """Each hostile target has the outcome that it is named for, and the worker goes on after it."""
    found, detail, _ = worker.run(name, 0, tmp_path / "case")
    assert found == outcome
    assert {"KeyError": "no such thing", "hang": "Timeout"}.get(name, "") in detail


@pytest.mark.parametrize("name", QUICK)
def test_a_case_repeats(name):
    """The same seed damages the same way; others do otherwise."""
    cases = [fuzz_worker.damage(TARGETS[name], Random(f"{name} {seed}")) for seed in (1, 1, 2, 3)]
    assert cases[0] == cases[1] and not cases[1] == cases[2] == cases[3]
    assert all(isinstance(content, bytes) for content in cases[0].values())


def test_a_few_cases(tmp_path, capsys):
    """Two each through the command: no finding, exit code 0, and the counts in the last line."""
    assert fuzz.main(["--target", *QUICK, "--cases", str(2 * len(QUICK)), "--out", str(tmp_path / "out")]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["findings"] == {} and document["cases"] == 2 * len(QUICK)
    assert {name: sum(counts.values()) for name, counts in document["outcomes"].items()} == dict.fromkeys(QUICK, 2)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_many_cases(tmp_path, capsys):
    """No finding; most targets gave errors as well as right results."""
    assert fuzz.main(["--cases", "400", "--seed", "100000", "--out", str(tmp_path / "out")]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["findings"] == {} and document["cases"] == 400
    outcomes = document["outcomes"].values()
    assert sum("right" in counts and len(counts) > 1 for counts in outcomes) > len(TARGETS) / 2


def test_a_finding_is_saved(tmp_path, capsys, monkeypatch):
    """Exit code 1; the files, the traceback and the command that repeats the case."""
    hostile_targets.add_hostile()
    for name in hostile_targets.HOSTILE:
        monkeypatch.setitem(TARGETS, name, TARGETS.pop(name))
    monkeypatch.setattr(fuzz, "Worker", functools.partial(fuzz.Worker, work=hostile_targets.work))
    assert fuzz.main(["--target", "KeyError", "--seed", "7", "--cases", "3", "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "--target KeyError --seed 7 --cases 1: KeyError" in printed
    (count,) = json.loads(printed.splitlines()[-1])["findings"].values()
    assert count == 3
    assert "no such thing" in (tmp_path / "KeyError-7" / "finding.txt").read_text()
    assert (tmp_path / "KeyError-7" / "a" / "b" / "c" / "file").exists()
    assert not (tmp_path / "KeyError-8").exists()


@pytest.mark.parametrize("flags", [["--target", "bogus"], ["--cases", "0"], ["--minutes", "x"], ["--seed", "-1"]])
def test_a_mistyped_flag_is_a_usage_mistake(flags):
    """Exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        fuzz.main(flags)
    assert stopped.value.code == 2
