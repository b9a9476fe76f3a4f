"""Model cards of exports."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from gan import experiment
from gan.config import Config
from gan.export import model_card
from gan.labels import Attribute, Labels
from gan.runs.run_directory import Run
from tools import export

RESULT = {
    "protocol": {"samples": 64, "reference": {"data": "/home/alice/B.zip", "faces": 30}},
    "generator": {"file": "generator.keras", "iteration": 4},
    "scores": {"kid-onet": 1234.5, "memorization": {"summary": "no sign of /home/alice/B.zip in it"}},
}
OTHER = {**RESULT, "generator": {"file": "best.keras", "iteration": 2}}  # of another generator
GENERATOR = SimpleNamespace(source=Path("generator.keras"), iteration=4)


def export_card(tiny):
    """Exports to the folder `there` and returns the card."""
    assert export.main([str(tiny), "--to", "keras", "--out", "there"]) == 0
    return Path("there/README.md").read_text()


def change_config(run, **settings):
    """Changes settings of a run."""
    path = run / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_card(tiny):
    """It has data, terms and settings, and says how to evaluate."""
    card = export_card(tiny)
    assert card.startswith("# tiny") and "16 x 16" in card and "![Samples](samples.png)" in card
    assert "## Labels" not in card and "```python" not in card
    assert "60 images of `avatars`" in card and "Pablo Stanley" in card and "held out" not in card
    assert f"python -m tools.evaluate {tiny}" in card and '"noise_size": 8' in card


def test_labels(labelled, monkeypatch):
    """They are listed in the order of their columns, and the program in the card gives both inputs."""
    card = export_card(labelled)
    rows = re.findall(r"^\| (\d+) \| (.*) \| ([\d.]+)% \|$", card, re.MULTILINE)
    generator = experiment.load_generator(Run(labelled))
    names = [f"{each.name}: {value}" for each in generator.labels.attributes for value in each.values]
    assert [(number, name) for number, name, _ in rows] == [(str(i), name) for i, name in enumerate(names)]
    assert sum(float(share) for *_, share in rows) == pytest.approx(200, abs=0.5)  # of two attributes
    assert "float32 (n, 9)" in card
    monkeypatch.chdir("there")
    [program] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    found = {}
    exec(program, found)
    assert found["noise"].shape == (8, 8) and found["noise"].dtype == np.float32
    np.testing.assert_array_equal(
        found["labels"], generator.labels.encode(np.repeat(generator.labels.codes[:1], 8, axis=0))
    )
    np.testing.assert_allclose(found["images"], generator.generate(found["noise"], found["labels"]).numpy(), atol=1e-5)


@pytest.mark.parametrize("damaged", [{"protocol": {}}, {"protocol": {"samples": 64, "reference": []}}])
def test_damaged_scores(tiny, capsys, damaged):
    """An evaluation of this generator without what a card tells of it is named: exit code 2."""
    (tiny / "scores.json").write_text(json.dumps([{**RESULT, **damaged}]))
    assert export.main([str(tiny), "--to", "keras", "--out", "there"]) == 2
    assert "scores.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("balance", [False, True])
def test_a_name_of_a_label_stays_in_its_cell(balance):
    """A vertical line or a line break in it does not end the cell, or the comment; the title tells of --balance."""
    labels = Labels((Attribute("a|b\nimport x"),), np.ones((3, 1), np.int32))
    shape = {"noise_shape": (8, 8, 3), "noise_distribution": "uniform"}
    generator = SimpleNamespace(labels=labels, config=Config(balance=balance), **shape)
    *_, table, program = model_card.describe_labels(generator)
    assert table.splitlines()[0] == f"| column | label | share in training{', balanced' if balance else ''} |"
    assert table.splitlines()[2:] == [r"| 0 | a\|b import x | 100.0% |"]
    assert "uniform(-1, 1, (8, 8, 8, 3))" in program and "\nimport x" not in program


def test_card_reveals_no_folders(tiny):
    """Scores and settings name data without the folders in which they are."""
    (tiny / "scores.json").write_text(json.dumps([RESULT, OTHER]))
    change_config(tiny, data="/home/alice/CelebA.zip", labels="/home/alice/list.txt", start_from="/home/alice/run")
    card = export_card(tiny)
    assert "| kid-onet | 1,234 |" in card and "best.keras" not in card
    assert "64 samples" in card and "30 images (B.zip)" in card and "No sign of B.zip in it" in card
    assert "non-commercial research only" in card and "alice" not in card and '"data": "CelebA.zip"' in card
    assert model_card.base_name("/home/alice/A.zip + faces/B.zip") == "A.zip + B.zip"
    assert model_card.base_name("C:\\Users\\alice\\photos\\ + avatars") == "photos + avatars"


@pytest.mark.parametrize(
    "scores",
    [{"kid-onet": 1.0}, {"kid-onet": 1.0, "memorisation": {"in_words": "no sign of it"}}],
    ids=["without memorization", "with former keys"],
)
def test_scores_of_older_versions(tiny, scores):
    """Scores without memorization, or with its former keys, are read."""
    (tiny / "scores.json").write_text(json.dumps([{**RESULT, "scores": scores}]))
    text = model_card.describe_scores(Run(tiny), GENERATOR)
    assert "64 samples" in text and "30 images (B.zip)" in text
    assert ("No sign of it" in text) == ("memorisation" in scores)


def test_no_scores(tiny):
    """The command to evaluate has the run's path in output/, even if the run is given by another."""
    assert "evaluate output/tiny`" in model_card.describe_scores(Run(tiny.resolve()), GENERATOR)


@pytest.mark.parametrize("augmentation", ["flip", "none"])
def test_data(tiny, augmentation):
    """Images, held-out images and augmentation come from data.json and the settings; without it, the name is left."""
    change_config(tiny, augmentation=augmentation)
    report = json.loads((tiny / "data.json").read_text())
    (tiny / "data.json").write_text(json.dumps({**report, "held_out": 7, "trained": 40}))
    run = Run(tiny)
    described = model_card.describe_data(run, run.load_config())
    assert "16 x 16" in described and ("mirrored" in described) == (augmentation == "flip")
    assert described.startswith("40 images") and " 7 more" in described
    (tiny / "data.json").unlink()
    assert model_card.describe_data(run, run.load_config()) == "`avatars`."


@pytest.mark.slow
def test_card_lists_files_of_earlier_exports(tiny):
    """They are listed for as long as they are there, those of another generator apart."""
    card = tiny / "export" / "README.md"
    for name, files in [("keras", "`generator.keras`"), ("savedmodel", "`generator.keras`, `savedmodel`")]:
        assert export.main([str(tiny), "--to", name]) == 0
        assert f"Files: {files}.\n" in card.read_text()
    model = keras.saving.load_model(tiny / "generator.keras", compile=False)
    model.set_weights([weight / 2 for weight in model.get_weights()])
    model.save(tiny / "generator.keras")
    assert export.main([str(tiny), "--to", "savedmodel"]) == 0
    assert "Files: `savedmodel`. Of another generator, exported earlier: `generator.keras`.\n" in card.read_text()
    shutil.rmtree(tiny / "export" / "savedmodel")
    assert export.main([str(tiny), "--to", "keras"]) == 0
    assert "Files: `generator.keras`.\n" in card.read_text()


def test_cards_of_older_versions_are_recognized(tmp_path):
    """The last line of their cards lists the files, as it does now."""
    line = (
        "<!-- Every export writes this file anew. It made: generator.keras 0123456789abcdef, web fedcba9876543210 -->"
    )
    (tmp_path / "README.md").write_text(f"# tiny\n\n{line}\n")
    files = {"generator.keras": "0123456789abcdef", "web": "fedcba9876543210"}
    assert model_card.read_files(tmp_path) == files


def test_terms():
    """License and bias are known for the built-in data and CelebA; for others, the card says to find out."""
    assert model_card.describe_terms(("avatars",)) == model_card.AVATARS
    assert model_card.describe_terms(("orl",)) == model_card.ORL
    assert model_card.describe_terms(("/a/CelebA/faces", "CelebA.zip")) == model_card.CELEBA
    assert model_card.describe_terms(("~/faces", "celebrations.zip")) == model_card.UNKNOWN
    assert model_card.describe_terms(("avatars", "orl")) == f"{model_card.AVATARS} {model_card.ORL}"
