"""A run of an older version with former names: tools can open it, and training can be resumed."""

import dataclasses
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

import train
from gan.config import Config
from gan.runs import legacy
from gan.runs.run_directory import Run
from tools import compare, evaluate, export, gallery, generate

ARCHIVE = Path(__file__).parents[1] / "old_run.tar.gz"


@pytest.fixture
def old_run(tmp_path, monkeypatch):
    """The run in output/ of the current folder, which also has its data, faces.npz, and results/old.json."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return next(Path("output").iterdir())


def test_reading_with_the_present_names(old_run):
    """Config, log, scores, failure modes and evaluations of an old run are read with the present names."""
    run = Run(old_run)
    config = run.load_config()
    assert (config.generator, config.augmentation, config.ema_half_life) == ("self-modulated", "flip", 20_000.0)
    assert {"real_score", "fake_score"} <= set(run.tables.read_log()) and run.tables.read_active_failures() == {}
    assert (
        run.tables.read_scores()[0]["eval_seconds"] > 0
        and run.read_evaluations()[0]["scores"]["memorization"]["summary"]
    )
    assert legacy.find(old_run, "sessions.json").name == "sittings.json"


@pytest.mark.parametrize(
    ("tool", "arguments", "result"),
    [
        (generate, ["--count", "4"], "generated.png"),
        (export, ["--to", "keras"], "export/generator.keras"),
        (evaluate, ["--network", "onet", "--samples", "64", "--cache-dir", "cache"], "nearest.png"),
    ],
)
def test_tools(old_run, capsys, tool, arguments, result):
    """Each tool writes its file for an old run."""
    (old_run / "nearest.png").unlink()
    assert tool.main([str(old_run), *arguments]) == 0, capsys.readouterr().err
    assert (old_run / result).stat().st_size > 100


@pytest.mark.usefixtures("eagerly")
def test_generator_is_rebuilt_from_a_checkpoint(old_run, capsys):
    """Without .keras files, samples come from the generator in the last checkpoint."""
    for name in ("best.keras", "generator.keras"):
        (old_run / name).unlink()
    assert generate.main([str(old_run), "--count", "4"]) == 0, capsys.readouterr().err
    assert "000000375.npz" in capsys.readouterr().out


def test_gallery(old_run, capsys):
    """The gallery shows the run without a warning."""
    assert gallery.main(["output"]) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith(": 1 runs\n") and printed.err == ""


def test_table_of_a_comparison(old_run, capsys):
    """The comparison in results/old.json can be printed as a table."""
    assert compare.main(["--name", "old", "--table"]) == 0, capsys.readouterr().err
    assert "kid-onet" in capsys.readouterr().out


def test_former_default_names_are_found(tmp_path):
    """The folder of a former default name is used if the folder of the present one does not exist."""
    avatars, photographs = Config(recipe="avatars", noise="image"), Config(noise="image", data=("x",))
    names = {
        photographs: ["default-image-compact-32-x", "default-image-self-modulated-32-x"],
        avatars: ["default-image-compact-32", "default-image-self-modulated-32", "avatars-image-self-modulated-32"],
    }
    for config, possible in names.items():
        assert legacy.find_run(tmp_path, config, False).name == possible[-1]
        for name in possible:
            (tmp_path / name).mkdir()
            assert legacy.find_run(tmp_path, config, False).name == name
    (tmp_path / "avatars-image-self-modulated-32").rmdir()
    for recipe, name in (
        ("avatars", "avatars-image-self-modulated-32"),
        ("default", "default-image-self-modulated-32-built-in"),
    ):
        assert legacy.find_run(tmp_path, dataclasses.replace(avatars, recipe=recipe), True).name == name


@pytest.mark.usefixtures("eagerly")
def test_resume(old_run, capsys, fast_saves):
    """A command with its settings resumes the run and renames its tables and columns."""
    saved = json.loads((old_run / "config.json").read_text())
    line = ["--data", "faces.npz", "--image-size", "16", "--width", "4", "--noise-size", "8", "--sample-every", "100"]
    line += [
        "--generator-learning-rate",
        "0.05",
        "--score-every",
        "50",
        "--precision",
        "float32",
        "--cache-dir",
        "cache",
    ]
    assert train.main([*line, "--epochs", "380", "--run", saved["run"]]) == 0, capsys.readouterr().err
    run = Run(old_run)
    log = run.tables.read_log()
    assert (
        log["iteration"][-1] == 380 and np.isfinite(log["real_score"]).all() and (old_run / "diagnostics.csv").exists()
    )
    assert not any((old_run / name).exists() for name in ("health.csv", "left-out.csv"))
    assert (old_run / "skipped.csv").exists()
    lines = (old_run / "diagnostics.csv").read_text().splitlines()
    assert lines[1].startswith("50,saturation,started,") and lines[2] == "150,saturation,ended,"


def test_attributes_of_older_evaluations():
    """Former names of avatars' attributes are translated in all parts of an evaluation."""
    values, both = {"hair_colour": 1, "skin": 2}, {"hair_color": 1, "skin": 2}
    old = {"scores": {"attribute_distances": values, "modes_missing": values, "attribute_shares": {"data": values}}}
    scores = {"attribute_distances": both, "modes_missing": both, "attribute_shares": {"data": both}}
    for result in (old, legacy.translate_result(old)):
        assert legacy.translate_result(result)["scores"] == scores


@pytest.mark.parametrize(
    ("others", "present"), [([0.5, 0.25], 0.25), ([0.25], 0.25), ([], []), (0.125, 0.125), (None, None)]
)
def test_sessions_of_older_comparisons(others, present):
    """What other work took was once a pair, of which the second value was measured during the training."""
    session = legacy.translate_session({"others": others})
    assert session == {"other_cores": present}
