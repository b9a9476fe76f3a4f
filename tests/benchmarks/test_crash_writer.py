"""The writer writes the same files each time, whether it is interrupted or not."""

import pytest

from benchmarks.crash_writer import ITERATIONS, write_run
from benchmarks.snapshot import list_differences, read_folder
from gan.runs import checkpoints
from gan.runs.run_directory import Run


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The files of a run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    write_run(folder)
    return read_folder(folder)


def test_what_is_written(whole):
    """Everything but the chart, which needs Matplotlib."""
    names = ["000011.png", "best.json", "best.keras", "config.json", "data.json", "diagnostics.csv", "generator.keras"]
    names += ["log.csv", "metrics.csv", "samples.npz", "skipped.csv", f"checkpoints/{ITERATIONS:09d}.npz"]
    assert {f"output/it/{name}" for name in names} | {"output/index.html"} <= set(whole)
    assert sum(name.startswith("cache/") for name in whole) == 2
    assert len(whole["output/it/log.csv"]) == len(whole["output/it/metrics.csv"]) == 1 + ITERATIONS


@pytest.mark.parametrize("interrupted_in", ["save", "restore", "remove_old"])
def test_going_on(whole, tmp_path, monkeypatch, interrupted_in):
    """An exception at the fifth call of a function, and the same call again, give the same files."""
    original, calls = getattr(checkpoints, interrupted_in), []

    def interrupt(*arguments):
        calls.append(arguments)
        if len(calls) == (1 if interrupted_in == "restore" else 5):
            raise InterruptedError
        return original(*arguments)

    monkeypatch.setattr(checkpoints, interrupted_in, interrupt)
    with pytest.raises(InterruptedError):
        write_run(tmp_path)
    write_run(tmp_path)
    assert list_differences(whole, read_folder(tmp_path)) == []


def test_the_best_generator(whole, tmp_path):
    """best.json has the lowest score, and best.keras is of that iteration."""
    write_run(tmp_path)
    run = Run(tmp_path / "output" / "it")
    kids = {row["kid"]: row["iteration"] for row in run.tables.read_scores()}
    assert run.best_iteration() == kids[min(kids)] < ITERATIONS
    assert whole["output/it/best.keras"] != whole["output/it/generator.keras"]
