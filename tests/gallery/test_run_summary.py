"""Summaries of runs for the gallery, in all the states that a run can be in."""

import dataclasses
import json
import os
import re

import numpy as np
import pytest
from sample_runs import a_run, result

from gan.config import Config
from gan.errors import UsageError
from gan.gallery import run_summary
from gan.runs import checkpoints
from gan.runs.run_directory import Run, write_csv, write_json


def summarize(run):
    """A run's summary."""
    return run_summary.summarize(run.folder)


def test_a_run(tmp_path):
    """Every figure, worked by hand."""
    found = summarize(a_run(tmp_path, "one", recipe="udacity-64", width=7, discriminator="conv"))
    assert (found["name"], found["path"], found["size"], found["per"]) == ("one", "one", 32, 8)
    assert (found["iterations"], found["images"], found["seconds"]) == (4, 32, 8.0)
    assert found["asked"] == {"iterations": 4} and found["grids"] == [0, 2, 4]
    assert found["weights"] == {"generator": 15, "discriminator": 7}  # a random generator's state is no weight
    assert found["curve"] == {
        "iteration": [1, 2, 3, 4], "seconds": [2.0, 4.0, 6.0, 8.0],
        "d_loss": [1.0, 0.5, 0.3333, 0.25], "g_loss": [1.0, 2.0, 3.0, 4.0],
    }  # fmt: skip
    assert found["scores"]["kid"] == [90.0, 30.0] and found["scores"]["iteration"] == [2, 4]
    assert (found["best"]["name"], found["best"]["value"], found["best"]["iteration"]) == ("kid-onet", 30.0, 4)
    assert found["settings"] == {
        "recipe": "udacity-64", "width": 7, "discriminator": "conv", "epochs": 4, "batch_size": 8, "run": "one"
    }  # fmt: skip
    assert found["notes"] == [] and not found["nearest"]
    assert found["command"].startswith("python train.py --recipe udacity-64 ") and "--width 7" in found["command"]


def test_curves_are_short(tmp_path):
    """Of 1,000 rows, 100 means of ten neighbours, as numbers of four digits."""
    curve = summarize(a_run(tmp_path, "long", rows=1000))["curve"]
    assert all(len(column) == run_summary.POINTS for column in curve.values())
    assert curve["g_loss"][:2] == [5.5, 15.5] and curve["iteration"][:2] == [6, 16]  # 5.5, to the even
    assert curve["d_loss"][0] == pytest.approx(sum(1 / i for i in range(1, 11)) / 10, rel=1e-3)
    assert all(len(f"{value:.3e}") == 9 and float(f"{value:.3e}") == value for value in curve["d_loss"])


def test_a_large_log_is_read_in_places(tmp_path, monkeypatch):
    """Its means are those of the whole, nearly; its last row is exact."""
    run = a_run(tmp_path, "long", rows=20_000)
    whole = summarize(run)
    monkeypatch.setattr(run_summary, "WHOLE", 1000)
    monkeypatch.setattr(run_summary, "BLOCK", 1000)
    names, lines = run_summary.read_lines(run.log)
    assert names[:3] == ["iteration", "images", "seconds"] and len(lines) < 5000
    parts = summarize(run)
    assert (parts["iterations"], parts["seconds"]) == (20_000, 40_000.0)
    there = np.interp(whole["curve"]["iteration"], parts["curve"]["iteration"], parts["curve"]["g_loss"])
    assert np.abs(there - whole["curve"]["g_loss"]).max() < 200  # of 20,000


def test_what_is_not_finite_is_a_gap(tmp_path):
    """A loss of NaN or infinity neither spoils its neighbours nor gets into JSON, which has none."""
    run = a_run(tmp_path, "lost", rows=2)
    run.append_rows(run.log, [(3, 24, "6.0", "nan", "inf", 4)])
    found = summarize(run)
    assert found["curve"]["d_loss"] == [1.0, 0.5, None] and found["curve"]["g_loss"] == [1.0, 2.0, None]
    assert json.dumps(found, allow_nan=False)


def test_many_scores_are_thinned(tmp_path):
    """The one that is kept as best.keras and the last stay."""
    kids = [500.0 + i for i in range(1001)]
    kids[333:335] = 1.0, 1.05  # within its error of 0.1
    found = summarize(a_run(tmp_path, "scored", scores=kids))["scores"]
    assert len(found["kid"]) < 110 and min(found["kid"]) == 1.05 and found["iteration"][-1] == 2002


def test_young_and_old_runs(tmp_path):
    """One that was just claimed; one with a checkpoint only; one of an older version, without later settings."""
    young = Run(tmp_path / "young")
    write_json(young.folder / "config.json", dataclasses.asdict(Config(run="young")))
    found = summarize(young)
    assert (found["iterations"], found["grids"], found["notes"]) == (0, [], []) and "weights" not in found
    checkpoints.save(young.checkpoints, 30, {"generator/000": np.zeros(4, np.float32)})
    assert (summarize(young)["iterations"], summarize(young)["images"]) == (30, 30 * 64)
    old = a_run(tmp_path, "old")
    saved = json.loads((old.folder / "config.json").read_text())
    for name in ("holdout", "reuse_fakes", "patience", "faces", "run"):
        del saved[name]
    write_json(old.folder / "config.json", saved)
    for name in ("metrics.csv", "best.json"):
        (old.folder / name).unlink()
    found = summarize(old)
    assert found["settings"]["holdout"] == 0.0 and "--holdout 0.0 --run old" in found["command"].replace(
        " --batch-size 8 --epochs 4", ""
    )
    assert found["notes"] == [] and "best" not in found and "scores" not in found


def test_how_long_a_run_is_to_be(tmp_path):
    """In seconds where it has minutes; a number of passes is so many of its faces, less those held out."""
    assert summarize(a_run(tmp_path, "timed", minutes=1.5))["asked"] == {"seconds": 90.0}
    run = a_run(tmp_path, "passes", steps_per_epoch="all", epochs=3, batch_size=10, holdout=0.1)
    write_json(run.folder / "data.json", {"used": 100})
    assert summarize(run)["asked"] == {"iterations": 27}  # 3 x 90 faces, 10 at a time
    write_json(run.folder / "data.json", {"used": 100, "held_out": 0})  # too few to hold any out
    assert summarize(run)["asked"] == {"iterations": 30}
    (run.folder / "data.json").unlink()
    assert "asked" not in summarize(run) and summarize(run)["notes"] == []


def test_a_torn_row_is_passed_over(tmp_path):
    """The last line of a log that is being written may be a part of one."""
    run = a_run(tmp_path, "torn")
    with open(run.log, "a") as file:
        file.write("5,40,10.0,0.2")
    assert summarize(run)["iterations"] == 4


@pytest.mark.parametrize("name", ["log.csv", "metrics.csv", "best.json", "scores.json", "sessions.json"])
def test_a_damaged_file_is_noted(tmp_path, name):
    """The rest of the run is told, and that this file is damaged."""
    run = a_run(tmp_path, "hurt")
    header = (run.folder / name).read_text().splitlines()[0] if name.endswith(".csv") else "{"
    (run.folder / name).write_text(f"{header}\n1{',x' * header.count(',')}\n")
    found = summarize(run)
    assert [note.split(" is damaged: ")[0] for note in found["notes"]] == [name]
    assert found["grids"] == [0, 2, 4]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "config.json does not describe a run: it is damaged"),
        ("[1]", "config.json does not describe a run: it is damaged"),
        ('{"vocab_size": 3}', "config.json does not describe a run: it has none of a run's settings"),
        ('{"width": "wide"}', "config.json does not describe a run: width is 'wide'"),
        ('{"data": 5}', "config.json does not describe a run: data is 5"),
        ("[" * 100_000, "config.json does not describe a run: it is damaged"),
    ],
)
def test_a_damaged_config(tmp_path, content, reason):
    """Without it there is no run; the reason is in a few words."""
    run = a_run(tmp_path, "hurt")
    (run.folder / "config.json").write_text(content)
    with pytest.raises(UsageError, match=re.escape(reason)):
        summarize(run)


def test_an_evaluated_run(tmp_path):
    """Its scores as tools.evaluate prints them, which replace the best score during training."""
    run = a_run(tmp_path, "scored")
    (run.folder / "scores.json").write_text(json.dumps([result()]))
    (run.folder / "nearest.png").touch()
    found = summarize(run)
    assert found["evaluations"][0]["rows"] == [["fd-onet", "12.5"], ["kid-onet", "3.25"]]
    assert "2,000 samples (averaged weights) against 500 held-out faces" in found["evaluations"][0]["sentences"][0]
    assert (found["best"]["name"], found["best"]["value"]) == ("kid-onet", 3.25)
    assert found["best"]["measured"] == "kid-onet of 2,000 samples against 500 held-out faces"
    assert found["nearest"]


def test_sessions_and_failures(tmp_path):
    """The training sessions of a comparison, and the failure modes that have not ended."""
    run = a_run(tmp_path, "compared")
    session = {"machine": {}, "minutes": 10.0, "exit_code": 0, "shared": True}
    (run.folder / "sessions.json").write_text(json.dumps([session]))
    columns = ("iteration", "failure_mode", "status", "advice")
    write_csv(run.diagnostics, [columns, (2, "mode collapse", "started", "Try R1")])
    found = summarize(run)
    assert found["sessions"] == [{"minutes": 10.0, "shared": True}] and found["failures"] == {"mode collapse": "Try R1"}


def test_every_scalar_has_a_curve(tmp_path):
    """A scalar that is new, and one that most iterations lack, is on the curve by its name; gaps are None."""
    run = a_run(tmp_path, "new")
    run.append_log([
        {"iteration": i, "images": 8 * i, "seconds": 2.0 * i, "d_loss": 1.0, "g_loss": 1.0, "images_per_second": 4}
        | ({"penalty": 0.5} if i == 6 else {})
        for i in (5, 6)
    ])  # fmt: skip
    found = summarize(run)
    assert found["scalars"] == ["d_loss", "g_loss", "penalty"]
    assert found["curve"]["penalty"] == [None] * 5 + [0.5] and found["curve"]["iteration"] == [1, 2, 3, 4, 5, 6]


def test_a_renamed_folder_has_a_command_that_finds_it(tmp_path):
    """Its command names the folder, and what is no UTF-8 in a name is shown as a question mark."""
    assert summarize(a_run(tmp_path, "there", run="here"))["command"].endswith("--run there")
    name = os.fsdecode(b"caf\xe9 100%")
    found = summarize(a_run(tmp_path, name))
    assert (found["name"], found["path"]) == ("caf? 100%", "caf%E9%20100%25")
    assert json.dumps(found).encode()


def test_grids(tmp_path):
    """Only pictures by iteration are grids."""
    run = a_run(tmp_path, "seen")
    for name in ("loss.png", "12.png", "0000004.png", "²²²²²².png", "000007.png.part", "<b>.png"):
        (run.folder / name).touch()
    assert summarize(run)["grids"] == [0, 2, 4]
    run.grid_path(1_000_000).touch()
    assert summarize(run)["grids"] == [0, 2, 4, 1_000_000]
