"""tools.audit as a person runs it, on tiny runs with and without labels."""

import csv
import json
from pathlib import Path

import pytest
from striped_images import QUICK

from gan.datasets.avatars import ATTRIBUTES
from gan.images import read_png
from gan.metrics import attribute_classifier, avatar_classifier
from tools import audit


@pytest.fixture(autouse=True)
def quick(monkeypatch, eagerly):
    """Trains classifiers on little, and takes few images for enough."""
    for name, value in {"TRAINING": 100, "HELD_OUT": 50, "NEGATIVES": 16, "BATCH": 16, "EPOCHS": 1}.items():
        monkeypatch.setattr(avatar_classifier, name, value)
    for name, value in (QUICK | {"STEPS": 2, "FEWEST": 5}).items():
        monkeypatch.setattr(attribute_classifier, name, value)
    monkeypatch.setattr(audit, "FEWEST", 10)
    monkeypatch.setattr(audit, "ASKED", 10)


def change(run, **settings):
    """Changes the configuration of a run."""
    path = run / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def read(path):
    """The rows of a CSV."""
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_run_with_labels(labelled, capsys):
    """The report has a row for each value, agreement as drawn and as asked, and a chart; printed is what differs."""
    change(labelled, holdout=0.5)
    assert audit.main([str(labelled), "--samples", "100"]) == 0
    rows, text = read(labelled / "audit.csv"), (labelled / "audit.md").read_text()
    for name in ("skin", "glasses"):
        of_it = [row for row in rows if row["attribute"].startswith(f"{name}: ")]
        assert len(of_it) == len(ATTRIBUTES[name])
        assert f"| {name} | any | 100 |" in text and f"| {name} | any | {10 * len(of_it)} |" in text  # drawn; evenly
        for column in ("labelled", "data", "samples"):
            assert sum(float(row[column]) for row in of_it) == pytest.approx(1, abs=1e-5)
    assert sum(line.startswith("## ") for line in text.splitlines()) == 4
    assert read_png(labelled / "audit.png").ndim == 3
    printed = capsys.readouterr().out
    assert all(f"{row['attribute']}: " in printed for row in rows if row["verdict"])
    assert "asked for skin (any)" in printed and str(labelled / "audit.md") in printed


def test_some_attributes_of_a_run(labelled):
    """Attributes that are not audited are named; the report is where --out says."""
    change(labelled, holdout=0.5)
    assert audit.main([str(labelled), "--samples", "100", "--attributes", "glasses", "--out", "some.md"]) == 0
    assert {row["attribute"].partition(":")[0] for row in read(Path("some.csv"))} == {"glasses"}
    assert "not measured as asked for: skin" in Path("some.md").read_text()
    assert not (labelled / "audit.md").exists() and Path("some.png").exists()


def test_labels_of_a_file_and_a_run_without(tiny):
    """Any run is audited by a file's labels; images without one are left out, also where a run keeps them."""
    change(tiny, holdout=0.5, unlabelled="keep")
    names = [f"avatar {i}" for i in range(60)]
    lines = [f"{name},{i % 2},{'abc'[i % 3]}" for i, name in enumerate(names) if i % 4]
    Path("mine.csv").write_text("\n".join(["name,odd,letter", *lines]) + "\n")
    assert audit.main([str(tiny), "--samples", "100", "--labels", "mine.csv"]) == 0
    rows = read(tiny / "audit.csv")
    assert [row["attribute"] for row in rows] == ["odd", "letter: a", "letter: b", "letter: c"]
    assert 0.4 < float(rows[0]["labelled"]) < 0.9
    text = (tiny / "audit.md").read_text()
    assert "asked for" not in text and "mine.csv" in text


def test_too_few_images(labelled, capsys, monkeypatch):
    """A run that held out too few labelled images is refused, before anything is written."""
    monkeypatch.setattr(audit, "FEWEST", 100)
    assert audit.main([str(labelled)]) == 2
    assert "held out 0 labelled images" in capsys.readouterr().err and not (labelled / "audit.md").exists()
