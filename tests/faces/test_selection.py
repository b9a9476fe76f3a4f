"""Which faces are used."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gan.faces import selection
from gan.faces.selection import Candidate

RNG = np.random.default_rng(0)
GOOD = Candidate(np.zeros((5, 2)), 0.99, 60.0, 0.0, 0.02, 0.6, np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, ""),
        ({"confidence": 0.89}, "confidence"),
        ({"side": 47.9}, "--min-face 48"),
        ({"outside": 0.21}, "edge"),
        ({"nose": 0.15}, "profile"),
        ({"sharpness": 0.26}, "blurred"),
    ],
)
def test_find_flaw(change, word):
    """A flaw of each kind is named; a good face has none."""
    reason = selection.find_flaw(GOOD._replace(**change), 48)
    assert word in reason
    assert bool(reason) == bool(change)


def test_sharpness_falls_with_blur_and_not_with_contrast():
    """Blur lowers the sharpness of a picture at each step; half the contrast leaves it."""
    image = Image.fromarray(RNG.integers(0, 256, (8, 8), np.uint8).repeat(8, axis=0).repeat(8, axis=1))
    sharpness = []
    for radius in (0, 1, 2, 4):
        blurred = image.filter(ImageFilter.GaussianBlur(radius))
        sharpness.append(selection.measure_sharpness(np.asarray(blurred)))
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > selection.SHARP > sharpness[-1]
    pixels = np.asarray(image) // 2 * 2
    assert selection.measure_sharpness(pixels // 2) == pytest.approx(selection.measure_sharpness(pixels))
    assert selection.measure_sharpness(np.full((64, 64), 9, np.uint8)) == 0


def test_sharpness_by_hand():
    """Columns of 0 and 2 have a Laplacian of +-4 and a deviation of 1."""
    pixels = np.tile([0, 2], (64, 32))
    assert selection.measure_sharpness(pixels) == pytest.approx(4)


@pytest.mark.parametrize("count", [7, 700])
def test_mark_duplicates(count, monkeypatch):
    """Against a loop over all pairs: what is near an earlier one that is kept is a copy, and only that."""
    monkeypatch.setattr(selection, "BLOCK", 3 if count < 10 else 300)
    thumbs = RNG.normal(0, 40, (count, 192)).astype(np.float32)
    for i in range(0, count - 3, 3):  # i + 1 is near i, and i + 2 is near i + 1 only
        step = RNG.normal(size=192)
        step *= 0.7 * selection.COPY * np.sqrt(192) / np.linalg.norm(step)
        thumbs[i + 1], thumbs[i + 2] = thumbs[i] + step, thumbs[i] + 2 * step
    copies, kept = [], []
    for thumb in thumbs:
        near = any(np.sqrt(((thumb - thumbs[k]) ** 2).mean()) <= selection.COPY for k in kept)
        copies.append(near)
        if not near:
            kept.append(len(copies) - 1)
    found = selection.mark_duplicates(thumbs)
    assert found.tolist() == copies
    assert found[1] and not found[0] and not found[2]
