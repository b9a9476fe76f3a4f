"""Noise by number: the same always, of the law that it is said to be; ways between noise."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gan.generation.noise import hash_uint32, interpolate, interpolation_loop, neighbors, sample_noise, uniform

PAGE = Path(__file__).parents[2] / "gan" / "export" / "assets"


def test_bits_are_those_of_the_source():
    """lowbias32 in Python's own whole numbers, for which nothing overflows."""

    def exact(x):
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    numbers = [0, 1, 2, 12345, 2**31, 2**32 - 1]
    assert hash_uint32(np.array(numbers, np.uint32)).tolist() == [exact(x) for x in numbers]


def test_a_number_is_a_face():
    """Whoever is drawn beside it, however many: face 7 stays face 7, and no two are alike."""
    one = sample_noise([7], (4, 4, 3), "normal")
    many = sample_noise(range(10), (4, 4, 3), "normal")
    assert one.dtype == np.float32 and many.shape == (10, 4, 4, 3)
    np.testing.assert_array_equal(one[0], many[7])
    assert len(np.unique(many)) > 0.99 * many.size
    assert (sample_noise([2**32 - 1], (8,), "normal") != sample_noise([0], (8,), "normal")).all()
    # What it was when it was first drawn: faces that people know by number must stay.
    np.testing.assert_allclose(sample_noise([7], (3,), "normal")[0], [0.3248802, -0.8258326, -1.1732985], rtol=1e-6)


@pytest.mark.parametrize(("law", "variance", "fourth"), [("normal", 1, 3), ("uniform", 1 / 3, 1 / 5)])
def test_law(law, variance, fourth):
    """Moments of 400,000 numbers within some four standard errors; no row and no place hangs on another."""
    noise = sample_noise(range(4000), (100,), law).astype(float)
    assert noise.mean() == pytest.approx(0, abs=4 * (variance / noise.size) ** 0.5)
    assert np.mean(noise**2) == pytest.approx(variance, rel=0.01)
    assert np.mean(noise**4) == pytest.approx(fourth, rel=0.03)
    assert np.abs(np.corrcoef(noise[:200]) - np.eye(200)).max() < 0.5
    assert np.abs(np.corrcoef(noise.T) - np.eye(100)).max() < 0.08


def test_chances_are_even():
    """Each sixteenth has its share; each stream its own."""
    found = uniform(np.arange(1000), 64, 1)
    assert found.min() > 0 and found.max() < 1
    counts = np.histogram(found, 16, (0, 1))[0]
    assert ((counts - 4000) ** 2 / 4000).sum() < 45  # chi-square, 15 degrees of freedom: 1 in 10,000
    assert abs(np.corrcoef(found.ravel(), uniform(np.arange(1000), 64, 2).ravel())[0, 1]) < 0.02


def test_truncation():
    """Pulls towards 0, the mean of both laws."""
    for law in ("normal", "uniform"):
        whole = sample_noise([1, 2], (5,), law)
        np.testing.assert_allclose(sample_noise([1, 2], (5,), law, 0.5), whole / 2, rtol=1e-6)
        assert not sample_noise([1, 2], (5,), law, 0.0).any()


def test_between():
    """Normal: a quarter turn is passed at an even rate, lengths in between; uniform: a straight line."""
    one, other = np.array([2.0, 0], np.float32), np.array([0, 2.0], np.float32)
    third = interpolate(one, other, np.array([0, 1 / 3, 1]), "normal")
    np.testing.assert_allclose(third, [[2, 0], [3**0.5, 1], [0, 2]], atol=1e-6)
    np.testing.assert_allclose(interpolate(one, 4 * other, np.array([0.5]), "normal"), [[8**0.5, 8**0.5]], rtol=1e-6)
    np.testing.assert_allclose(interpolate(one, other, np.array([0.25]), "uniform"), [[1.5, 0.5]])
    np.testing.assert_allclose(interpolate(one, one, np.array([0.3]), "normal"), [one])
    np.testing.assert_allclose(interpolate(one, 0 * one, np.array([0.5]), "normal"), [one / 2])


def test_walk_is_closed_and_smooth():
    """Begins at the first point, passes each, and no step, the one back to the start included, is much longer."""
    points = sample_noise(range(3), (64,), "normal")
    path = interpolation_loop(points, 60, "normal")
    assert path.shape == (60, 64)
    np.testing.assert_allclose(path[[0, 20, 40]], points, atol=1e-5)
    steps = np.linalg.norm(np.roll(path, -1, axis=0) - path, axis=1)
    turns = np.abs(steps - np.roll(steps, 1))
    assert steps.max() < 2.5 * steps.mean() and turns.max() < 0.25 * steps.max()
    lengths = np.linalg.norm(path, axis=1)
    assert lengths.min() > 0.99 * np.linalg.norm(points, axis=1).min()
    assert interpolation_loop(points, 2, "normal").shape == (2, 64)  # fewer frames than legs


def test_around():
    """As near to the point as was asked, towards the others."""
    centre, *others = sample_noise(range(4), (64,), "uniform")
    near = neighbors(centre, np.stack(others), 0.25, "uniform")
    np.testing.assert_allclose(near, 0.75 * centre + 0.25 * np.stack(others), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_the_page_draws_the_same():
    """noise.js and noise.py agree up to float rounding, for both laws and both ways."""
    script = f"""
        import {{ between, drawn }} from "{(PAGE / "noise.js").as_uri()}";
        const result = {{}};
        for (const law of ["normal", "uniform"]) {{
          const [a, b] = [drawn(7, 300, law), drawn(2 ** 32 - 1, 300, law)];
          result[law] = [a, b, between(a, b, 0.3, law), between(a, a, 0.3, law)].map((z) => Array.from(z));
        }}
        console.log(JSON.stringify(result));
    """
    command = ["node", "--input-type=module", "--eval", script]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for law in ("normal", "uniform"):
        a, b = sample_noise([7, 2**32 - 1], (300,), law)
        [third], [same] = interpolate(a, b, np.array([0.3]), law), interpolate(a, a, np.array([0.3]), law)
        np.testing.assert_allclose(told[law], [a, b, third, same], rtol=1e-5, atol=1e-6)
