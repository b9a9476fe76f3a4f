"""The transforms of faces, and cutting out by them."""

import numpy as np
import pytest
from PIL import Image

from gan.faces import geometry

RNG = np.random.default_rng(0)


def test_fit_similarity():
    """(0, 0) and (2, 0) go to (1, 1) and (1, 5): twice as large, turned by 90 degrees; a third point follows."""
    transform = geometry.fit_similarity(np.array([[0.0, 0], [2, 0]]), np.array([[1.0, 1], [1, 5]]))
    np.testing.assert_allclose(transform, [[0, -2, 1], [2, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(geometry.transform_points(transform, np.array([0.0, 1])), [-1, 1])
    assert geometry.find_scale(transform) == pytest.approx(2)
    assert geometry.find_angle(transform) == pytest.approx(90)


def test_fit_similarity_is_a_least_squares_solution():
    """For points that no similarity matches, the four parameters are those of numpy.linalg.lstsq."""
    source, target = RNG.normal(size=(2, 5, 2))
    rows = [[[x, -y, 1, 0], [y, x, 0, 1]] for x, y in source]
    (a, b, tx, ty), *_ = np.linalg.lstsq(np.reshape(rows, (10, 4)), target.ravel(), rcond=None)
    np.testing.assert_allclose(geometry.fit_similarity(source, target), [[a, -b, tx], [b, a, ty]], atol=1e-12)


def test_invert():
    """A transform and its inverse bring points back."""
    transform = geometry.similarity(3.0, -4.0, np.array([1.0, 2]), np.array([5.0, 6]))
    points = RNG.normal(size=(7, 2))
    back = geometry.transform_points(geometry.invert(transform), geometry.transform_points(transform, points))
    np.testing.assert_allclose(back, points)


@pytest.mark.parametrize("mode", ["RGB", "L", "I", "F"])
def test_cut_out_of_the_same_scale(mode):
    """A cut that is neither turned nor scaled has the pixels of the photograph, in the same mode."""
    pixels = RNG.integers(0, 256, (30, 40, 3), np.uint8)
    image = Image.fromarray(pixels).convert("L" if mode != "RGB" else mode).convert(mode)
    cut = geometry.cut_out(image, np.array([[1.0, 0, 7], [0, 1, 5]]), 16)
    assert cut.mode == mode
    np.testing.assert_array_equal(np.asarray(cut), np.asarray(image)[5:21, 7:23])


def test_cut_out_is_level():
    """Of an edge that is tilted by 20 degrees, a cut along it has one color above and another below."""
    y, x = np.mgrid[:200, :200] + 0.5 - 100
    tilt = np.radians(20)
    pixels = np.where(y * np.cos(tilt) - x * np.sin(tilt) > 0, 200, 50).astype(np.uint8)
    transform = geometry.similarity(2 * np.cos(tilt), 2 * np.sin(tilt), np.array([16.0, 16]), np.array([100.0, 100]))
    cut = np.asarray(geometry.cut_out(Image.fromarray(pixels), transform, 32)).astype(int)
    assert abs(cut[:15] - 50).max() <= 3
    assert abs(cut[17:] - 200).max() <= 3


@pytest.mark.parametrize("scale", [2, 3, 5.5, 16])
def test_cut_out_is_antialiased(scale):
    """A fine checkerboard becomes its mean; without a filter it would stay black and white."""
    pixels = (255 * (np.indices((400, 400)).sum(axis=0) % 2)).astype(np.uint8)
    cut = np.asarray(geometry.cut_out(Image.fromarray(pixels), np.array([[scale, 0, 9], [0, scale, 9]]), 20))
    assert abs(cut.astype(int) - 127).max() <= 24


def test_cut_out_reflects_at_edges():
    """Beyond the edges is the reflection, however far: nothing of a white photograph becomes black."""
    pixels = RNG.integers(0, 256, (8, 12), np.uint8)
    cut = geometry.cut_out(Image.fromarray(pixels), np.array([[1.0, 0, -20], [0, 1, -3]]), 30)
    expected = np.pad(pixels, ((3, 19), (24, 24)), mode="symmetric")[:, 4:34]
    np.testing.assert_array_equal(np.asarray(cut), expected)
    white = Image.new("RGB", (20, 20), "white")
    for angle in (0.3, 2, 5):
        transform = geometry.similarity(3 * np.cos(angle), 3 * np.sin(angle), np.array([8.0, 8]), np.array([2.0, 19]))
        assert np.asarray(geometry.cut_out(white, transform, 16)).min() == 255


def test_share_outside():
    """Of a cut whose left half lies outside, it is one half; of one that lies inside, 0; turned by 45 degrees, half."""
    assert geometry.share_outside(np.array([[1.0, 0, -16], [0, 1, 0]]), 32, 100, 100) == 0.5
    assert geometry.share_outside(np.array([[1.0, 0, 0], [0, 1, 0]]), 32, 32, 32) == 0
    turned = geometry.similarity(np.sqrt(0.5), np.sqrt(0.5), np.array([16.0, 16]), np.array([0.0, 50]))
    assert geometry.share_outside(turned, 32, 100, 100) == pytest.approx(0.5, abs=0.02)


def test_template():
    """The places are mirror images; those of the eyes are CelebA's, (69, 111) and (109, 111) of 178 x 218."""
    left = geometry.TEMPLATE[[0, 3]]
    np.testing.assert_allclose(left * [-1, 1] + [1, 0], geometry.TEMPLATE[[1, 4]])
    celeba = (np.array([[69, 111], [109, 111]]) + 0.5 - [35, 55]) / 108
    np.testing.assert_allclose(geometry.TEMPLATE[:2], celeba, atol=0.02)
