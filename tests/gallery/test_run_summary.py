"""Summaries of runs for the gallery, in all the states that a run can be in."""

import dataclasses
import json
import os
import re

import numpy as np
import pytest
from sample_runs import make_evaluation, make_run, make_scores

from gan.config import Config
from gan.errors import UsageError
from gan.files import write_csv, write_json
from gan.gallery import run_summary
from gan.labels import Attribute, Labels
from gan.runs import checkpoints, legacy
from gan.runs.run_directory import Run


def summarize(run):
    """A run's summary."""
    return run_summary.summarize(run.folder)


def test_a_finished_run(tmp_path):
    """Every number, worked by hand."""
    run = make_run(tmp_path, "one", recipe="udacity-64", width=7, discriminator="conv")
    os.utime(run.grids.path(0), (10, 20.5))
    found = summarize(run)
    assert (found["name"], found["path"], found["image_size"], found["images_per_iteration"]) == ("one", "one", 32, 8)
    assert (found["iterations"], found["images"], found["seconds"]) == (4, 32, 8.0)
    assert found["target"] == {"iterations": 4} and found["grids"] == [0, 2, 4] and found["begun"] == 20
    assert found["weights"] == {"generator": 15, "discriminator": 7}  # without the state of a random generator
    assert found["curve"] == {
        "iteration": [1, 2, 3, 4], "seconds": [2.0, 4.0, 6.0, 8.0],
        "d_loss": [1.0, 0.5, 0.3333, 0.25], "g_loss": [1.0, 2.0, 3.0, 4.0],
        "real_score": [0.75] * 4, "fake_score": [0.25] * 4, "penalty": [None, 0.5, None, 0.5],
    }  # fmt: skip
    assert found["scalars"] == {
        "loss": ["d_loss", "g_loss"], "score": ["real_score", "fake_score"], "penalty": ["penalty"]
    }  # fmt: skip
    assert found["scores"]["kid"] == [90.0, 30.0] and found["scores"]["iteration"] == [2, 4]
    best = found["best"]
    assert (best["name"], best["value"], best["iteration"]) == ("kid-onet, centered", 30.0, 4)
    assert found["settings"] == {
        "recipe": "udacity-64", "width": 7, "discriminator": "conv", "epochs": 4, "batch_size": 8, "run": "one"
    }  # fmt: skip
    assert found["notes"] == [] and not found["nearest"] and found["trained_on"] == "60 of faces (abc)"
    assert found["command"].startswith("python train.py --recipe udacity-64 ") and "--width 7" in found["command"]


def test_scores_of_several_averages(tmp_path):
    """The curve has the last score of each iteration, which is the lowest."""
    run = make_run(tmp_path, "two", scores=())
    for i, kid in enumerate((90.0, 30.0, 40.0, 20.0)):
        run.tables.append_score(make_scores([kid])[0] | {"iteration": 2 + i // 2, "half_life": 60.0})
    assert [summarize(run)["scores"][name] for name in ("iteration", "kid")] == [[2, 3], [30.0, 20.0]]


def test_curves_are_short(tmp_path):
    """Of 1,000 rows, 100 means of ten neighbors, as numbers of four digits."""
    curve = summarize(make_run(tmp_path, "long", rows=1000))["curve"]
    assert all(len(column) == run_summary.POINTS for column in curve.values())
    assert curve["g_loss"][:2] == [5.5, 15.5] and curve["iteration"][:2] == [6, 16]  # 5.5 rounds to even
    assert curve["d_loss"][0] == pytest.approx(sum(1 / i for i in range(1, 11)) / 10, rel=1e-3)
    assert all(len(f"{value:.3e}") == 9 and float(f"{value:.3e}") == value for value in curve["d_loss"])
    assert curve["penalty"] == [0.5] * 100  # the mean over those iterations that have one


def test_a_large_log_is_sampled(tmp_path, monkeypatch):
    """Its means are nearly those of the whole; its last row is exact."""
    run = make_run(tmp_path, "long", rows=20_000)
    whole = summarize(run)
    monkeypatch.setattr(run_summary, "FULL_READ_LIMIT", 1000)
    monkeypatch.setattr(run_summary, "BLOCK_SIZE", 1000)
    names, lines = run_summary.sample_lines(run.tables.log)
    assert names[:3] == ["iteration", "images", "seconds"] and 500 < len(lines) < 5000
    sampled = summarize(run)
    assert (sampled["iterations"], sampled["seconds"]) == (20_000, 40_000.0)
    g_loss = np.interp(whole["curve"]["iteration"], sampled["curve"]["iteration"], sampled["curve"]["g_loss"])
    assert np.abs(g_loss - whole["curve"]["g_loss"]).max() < 200  # of 20,000
    assert sampled["curve"]["real_score"] == [0.75] * 100


def test_values_that_are_not_finite_are_none(tmp_path):
    """NaN or infinity neither changes its neighbors nor gets into JSON, which has neither."""
    run = make_run(tmp_path, "lost", rows=2)
    run.tables.append_rows(run.tables.log, [(3, 24, "6.0", "nan", "inf", 0.75, 0.25, 0.5, 4)])
    found = summarize(run)
    assert found["curve"]["d_loss"] == [1.0, 0.5, None] and found["curve"]["g_loss"] == [1.0, 2.0, None]
    assert json.dumps(found, allow_nan=False)


def test_many_scores_are_thinned(tmp_path):
    """The score of best.keras and the last one stay."""
    kids = [500.0 + i for i in range(1001)]
    kids[333:335] = 1.0, 1.05  # within its standard error of 0.1
    found = summarize(make_run(tmp_path, "scored", scores=kids))["scores"]
    assert len(found["kid"]) < 110 and min(found["kid"]) == 1.05 and found["iteration"][-1] == 2002


def test_a_new_run(tmp_path):
    """One that has only a config.json, then a checkpoint too."""
    run = Run(tmp_path / "new")
    write_json(run.folder / "config.json", dataclasses.asdict(Config(run="new")))
    found = summarize(run)
    assert (found["iterations"], found["grids"], found["notes"]) == (0, [], []) and "weights" not in found
    checkpoints.save(run.checkpoints, 30, {"generator/000": np.zeros(4, np.float32)})
    assert (summarize(run)["iterations"], summarize(run)["images"]) == (30, 30 * 64)


def test_a_run_of_an_older_version(tmp_path):
    """Without later settings; columns and files under their former names."""
    run = make_run(tmp_path, "old")
    saved = json.loads((run.folder / "config.json").read_text())
    for name in ("holdout", "reuse_fakes", "patience", "faces", "run"):
        del saved[name]
    write_json(run.folder / "config.json", saved)
    for name in ("metrics.csv", "best.json"):
        (run.folder / name).unlink()
    run.tables.log.write_text(
        "iteration,images,seconds,d_loss,g_loss,d_real,d_fake,images_per_second\n1,8,2.0,1,2,0.6,0.4,4\n"
    )
    former = {new: old for old, new in legacy.COLUMNS.items()}
    columns = ("iteration", former["failure_mode"], former["status"], "advice")
    write_csv(run.folder / legacy.FILES["diagnostics.csv"], [columns, (1, "saturation", "began", "Try R1")])
    session = {"machine": {}, "minutes": 10.0, "code": 0, "others": [0.1, 0.2], "shared": False}
    (run.folder / legacy.FILES["sessions.json"]).write_text(json.dumps([session]))
    found = summarize(run)
    assert (
        found["settings"]["holdout"] == 0.0 and "--holdout 0.0" in found["command"] and "--run old" in found["command"]
    )
    assert found["notes"] == [] and "best" not in found and "scores" not in found
    assert (found["curve"]["real_score"], found["curve"]["fake_score"]) == ([0.6], [0.4])
    assert found["scalars"]["score"] == ["real_score", "fake_score"]
    assert found["failures"] == {"saturation": "Try R1"} and found["sessions"] == [{"minutes": 10.0, "shared": False}]


def test_the_planned_length(tmp_path):
    """In seconds for a run in minutes; a pass has as many iterations as the training images make."""
    assert summarize(make_run(tmp_path, "timed", minutes=1.5))["target"] == {"seconds": 90.0}
    run = make_run(tmp_path, "passes", steps_per_epoch="all", epochs=3, batch_size=10, holdout=0.1)
    write_json(run.folder / "data.json", {"used": 100})
    assert summarize(run)["target"] == {"iterations": 27}  # 3 x 90 images, 10 at a time
    write_json(run.folder / "data.json", {"used": 100, "held_out": 0})  # too few to hold any out
    assert summarize(run)["target"] == {"iterations": 30}
    write_json(run.folder / "data.json", {"used": 100, "held_out": 5, "trained": 45})  # half of them without a label
    assert summarize(run)["target"] == {"iterations": 14}  # of 135 images
    (run.folder / "data.json").unlink()
    assert "target" not in summarize(run) and summarize(run)["notes"] == []


def test_an_incomplete_row_is_ignored(tmp_path):
    """The last line of a log may be only partly written."""
    run = make_run(tmp_path, "running")
    with open(run.tables.log, "a") as file:
        file.write("5,40,10.0,0.2")
    assert summarize(run)["iterations"] == 4


@pytest.mark.parametrize(
    "name", ["log.csv", "metrics.csv", "best.json", "scores.json", "sessions.json", "data.json", "labels.json"]
)
def test_a_damaged_file_is_noted(tmp_path, name):
    """The rest of the summary is there, and a note names the file."""
    run = make_run(tmp_path, "damaged", steps_per_epoch="all")
    header = (run.folder / name).read_text().splitlines()[0] if name.endswith(".csv") else "{"
    (run.folder / name).write_text(f"{header}\n1{',x' * header.count(',')}\n")
    found = summarize(run)
    assert [note.split(" is damaged")[0] for note in found["notes"]] == [name]
    assert found["grids"] == [0, 2, 4]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "damaged"),
        ("[1]", "damaged"),
        ("[" * 100_000, "damaged"),
        ('{"vocab_size": 3}', "settings"),
        ('{"width": "wide"}', "width is 'wide'"),
        ('{"data": 5}', "data is 5"),
    ],
)
def test_a_damaged_config(tmp_path, content, reason):
    """Without it there is no run; the reason is short and does not repeat the folder."""
    run = make_run(tmp_path, "damaged")
    (run.folder / "config.json").write_text(content)
    with pytest.raises(UsageError, match=f"^config.json .*{re.escape(reason)}") as caught:
        summarize(run)
    assert len(str(caught.value)) < 200


def test_an_evaluated_run(tmp_path):
    """Its scores as tools.evaluate prints them; the main one replaces the best score during training."""
    run = make_run(tmp_path, "scored")
    (run.folder / "scores.json").write_text(json.dumps([make_evaluation()]))
    (run.folder / "nearest.png").touch()
    found = summarize(run)
    assert found["evaluations"][0]["rows"] == [["fd-onet", "12.5"], ["kid-onet", "3.25"]]
    assert "2,000 samples (averaged weights) against 500 held-out" in found["evaluations"][0]["sentences"][0]
    assert (found["best"]["name"], found["best"]["value"]) == ("kid-onet", 3.25)
    assert found["best"]["protocol"].startswith("kid-onet of 2,000 samples against 500 held-out")
    assert found["nearest"]


def test_a_run_with_labels(tmp_path):
    """It names them, with their shares; an evaluation by label says how often samples have the one asked for."""
    run = make_run(tmp_path, "labelled")
    assert "labels" not in summarize(run)
    attributes = (Attribute("Smiling"), Attribute("hair", ("bob", "long")))
    Labels(attributes, np.array([[1, 0], [0, 1]], np.int32), np.array([3, 1])).save(run.folder / "labels.json")
    assert summarize(run)["labels"] == "Smiling 75.0%, hair (bob 75.0%, long 25.0%)"
    evaluation = make_evaluation()
    evaluation["scores"] |= {
        "agreement": {"Smiling": 0.5, "hair": 0.625}, "classifier_accuracy": {"Smiling": 0.875, "hair": None},
        "fd_by_label": {"Smiling: yes": {"fd": 20.0, "images": 100, "samples": 100}}, "fd_by_label_extractor": "onet",
    }  # fmt: skip
    (run.folder / "scores.json").write_text(json.dumps([evaluation]))
    [found] = summarize(run)["evaluations"]
    text = "\n".join(found["sentences"])
    assert all(each in text for each in ("Smiling 50.0%", "87.5%", "hair 62.5%", "Smiling: yes 20.0"))
    assert found["rows"] == [["fd-onet", "12.5"], ["kid-onet", "3.25"]]


def test_training_images(tmp_path):
    """They are shown where there are any; in older folders, tools.generate has written a file of that name."""
    run = make_run(tmp_path, "shown")
    assert not summarize(run)["training_images"]
    (run.folder / "faces.png").touch()
    assert summarize(run)["training_images"]
    settings = json.loads((run.folder / "config.json").read_text())
    del settings["align"]
    (run.folder / "config.json").write_text(json.dumps(settings))
    assert not summarize(run)["training_images"]


def test_evaluations_of_one_protocol_are_a_group(tmp_path):
    """Scores of as many samples against the same images may be compared, others not."""
    groups = []
    for name, samples in (("one", 2000), ("two", 2000), ("three", 500)):
        run, evaluation = make_run(tmp_path, name), make_evaluation()
        evaluation["protocol"]["samples"] = samples
        (run.folder / "scores.json").write_text(json.dumps([evaluation]))
        groups.append(summarize(run)["best"]["group"])
    assert groups[0] == groups[1] != groups[2]


def test_scores_of_one_set_of_images_are_a_group(tmp_path):
    """Scores during training may be compared where as many images of the same data were held out, not others."""
    groups = []
    for name, held_out in (("one", 50), ("two", 50), ("three", 6)):
        run = make_run(tmp_path, name)
        run.write_data_report({"used": 60, "source": "faces", "crop": "all", "held_out": held_out}, [])
        groups.append(summarize(run)["scores"]["group"])
    assert groups[0] == groups[1] != groups[2]


def test_sessions_and_failures(tmp_path):
    """The training sessions of a comparison, and the failure modes that have not ended."""
    run = make_run(tmp_path, "compared")
    session = {"machine": {}, "minutes": 10.0, "exit_code": 0, "shared": True}
    (run.folder / "sessions.json").write_text(json.dumps([session]))
    columns = ("iteration", "failure_mode", "status", "advice")
    write_csv(run.tables.diagnostics, [columns, (2, "mode collapse", "started", "Try R1")])
    found = summarize(run)
    assert found["sessions"] == [{"minutes": 10.0, "shared": True}] and found["failures"] == {"mode collapse": "Try R1"}


def test_a_new_scalar_has_a_curve(tmp_path):
    """A scalar that the log has from some iteration on is on the curve under its name; before that it is None."""
    run = make_run(tmp_path, "new")
    row = {"iteration": 5, "images": 40, "seconds": 10.0, "d_loss": 1.0, "grad_norm_d": 3.0, "images_per_second": 4}
    run.tables.append_log([row])
    found = summarize(run)
    assert found["scalars"]["grad norm"] == ["grad_norm_d"]
    assert found["curve"]["grad_norm_d"] == [None] * 4 + [3.0] and found["curve"]["iteration"] == [1, 2, 3, 4, 5]


def test_a_renamed_folder(tmp_path):
    """The command names the folder; a byte of its name that is no text becomes a question mark."""
    assert summarize(make_run(tmp_path, "present", run="former"))["command"].endswith("--run present")
    found = summarize(make_run(tmp_path, os.fsdecode(b"caf\xe9 100%")))
    assert (found["name"], found["path"]) == ("caf? 100%", "caf%E9%20100%25")
    assert json.dumps(found).encode()


def test_grids(tmp_path):
    """Only images that are named by an iteration are grids."""
    run = make_run(tmp_path, "one")
    for name in ("loss.png", "12.png", "0000004.png", "²²²²²².png", "000007.png.part", "<b>.png"):
        (run.folder / name).touch()
    assert summarize(run)["grids"] == [0, 2, 4]
    run.grids.path(1_000_000).touch()
    assert summarize(run)["grids"] == [0, 2, 4, 1_000_000]
