"""A photograph and the face nearest to it, as a person asks for it."""

import json

import numpy as np
import pytest
from PIL import Image

from gan import images
from gan.metrics import avatar_classifier
from tools import project


@pytest.fixture(autouse=True)
def short(short_search, monkeypatch):
    """Few candidates and steps, and few samples to find ways in."""
    monkeypatch.setattr(project, "SAMPLES", 200)


@pytest.fixture
def photo(tmp_path):
    """A photograph, wider than high."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "me.png")
    return pixels


def test_a_photograph(tiny, photo, capsys):
    """The photograph's centre, then the face at each step; the noise of the last one draws it again."""
    assert project.main([str(tiny), "--photo", "me.png"]) == 0
    strip = images.read_png(tiny / "project.png")
    assert strip.shape == (128, 3 * 130 - 2, 3)
    centre = np.asarray(images.resize_image(Image.fromarray(photo[:, 10:50]), 16))
    np.testing.assert_array_equal(strip[::8, :128:8], centre)
    with np.load(tiny / "project.npz", allow_pickle=False) as file:
        assert file["noise"].shape == (8,)
        np.testing.assert_array_equal(strip[::8, 260::8], file["image"])
    assert "after 2 steps" in capsys.readouterr().out


def test_no_photograph(tiny):
    """A face that the run held out."""
    assert project.main([str(tiny)]) == 0
    assert images.read_png(tiny / "project.png").shape == (128, 3 * 130 - 2, 3)


def test_edits_of_drawn_faces(tiny, photo, monkeypatch, capsys):
    """A row for each attribute that samples differ in, named by what changes."""
    count = 100 * project.TIMES
    words = {"glasses": np.array(["none", "round"] * count), "hair": np.array(["bald"] * 2 * count)}
    classifier = type("Judge", (), {"tell": lambda self, faces: faces})()
    monkeypatch.setattr(avatar_classifier, "load_classifier", lambda *given: classifier)
    monkeypatch.setattr(avatar_classifier, "most_likely_values", lambda told: words)
    assert project.main([str(tiny), "--photo", "me.png", "--edit"]) == 0
    assert images.read_png(tiny / "edits.png").shape == (64 + 24, 6 * 66 - 2, 3)
    assert "1 ways to change it" in capsys.readouterr().out


def test_edits_of_photographs(tiny, photo):
    """Kinds found among samples, by what a network sees in them."""
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "data": "photos"}))
    assert project.main([str(tiny), "--photo", "me.png", "--edit", "--out", "there.png"]) == 0
    height, width, _ = images.read_png("there-edits.png").shape
    assert height % 88 == 0 and 1 <= height // 88 <= project.KINDS and width == 6 * 66 - 2


def test_mistakes(tiny, capsys):
    """A photograph that is none, and data that is gone: what is wrong, and what to type."""
    assert project.main([str(tiny), "--photo", "nobody.jpg"]) == 2
    assert capsys.readouterr().err == "project: --photo nobody.jpg: no such file, or a broken link\n"
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "data": "gone"}))
    assert project.main([str(tiny)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"project: without --photo FILE it takes a face that the run held out, and {tiny} was")
    assert "trained on gone, which is not there. Put it back, or tell the run where it is now: python" in told
    assert "--data WHERE" in told and told.endswith("--run tiny\n") and told.count("\n") == 1
