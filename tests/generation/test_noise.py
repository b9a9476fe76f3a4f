"""Noise by seed: reproducible, of the distribution it claims; interpolation; the web demo's copy in JavaScript."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gan.generation.noise import (
    hash_uint32,
    interpolate,
    interpolation_loop,
    interpolation_rows,
    neighbors,
    sample_noise,
    uniform,
)

ASSETS = Path(__file__).parents[2] / "gan" / "export" / "assets"


def test_hash_equals_its_source():
    """lowbias32 in Python's whole numbers, which do not overflow, gives the same bits."""

    def lowbias32(x):
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    numbers = [0, 1, 2, 12345, 2**31, 2**32 - 1]
    assert hash_uint32(np.array(numbers, np.uint32)).tolist() == [lowbias32(x) for x in numbers]


def test_noise_is_a_function_of_its_seed():
    """The noise of seed 7 is the same alone and among others, and differs from theirs."""
    one = sample_noise([7], (4, 4, 3), "normal")
    many = sample_noise(range(10), (4, 4, 3), "normal")
    assert one.dtype == np.float32 and many.shape == (10, 4, 4, 3)
    np.testing.assert_array_equal(one[0], many[7])
    assert len(np.unique(many)) > 0.99 * many.size
    assert (sample_noise([2**32 - 1], (8,), "normal") != sample_noise([0], (8,), "normal")).all()
    # The values of the first version: images that people know by their seeds must stay.
    np.testing.assert_allclose(sample_noise([7], (3,), "normal")[0], [0.3248802, -0.8258326, -1.1732985], rtol=1e-6)


@pytest.mark.parametrize(("distribution", "variance", "fourth"), [("normal", 1, 3), ("uniform", 1 / 3, 1 / 5)])
def test_distribution(distribution, variance, fourth):
    """Moments of 400,000 numbers are right within four standard errors; rows and positions are uncorrelated."""
    noise = sample_noise(range(4000), (100,), distribution).astype(float)
    assert noise.mean() == pytest.approx(0, abs=4 * (variance / noise.size) ** 0.5)
    assert np.mean(noise**2) == pytest.approx(variance, rel=0.01)
    assert np.mean(noise**4) == pytest.approx(fourth, rel=0.03)
    assert np.abs(np.corrcoef(noise[:200]) - np.eye(200)).max() < 0.5
    assert np.abs(np.corrcoef(noise.T) - np.eye(100)).max() < 0.08


def test_uniform_fills_its_interval_evenly():
    """Sixteen bins are equally full, and streams are uncorrelated."""
    numbers = uniform(np.arange(1000), 64, 1)
    assert numbers.min() > 0 and numbers.max() < 1
    counts = np.histogram(numbers, 16, (0, 1))[0]
    assert ((counts - 4000) ** 2 / 4000).sum() < 45  # chi-square, 15 degrees of freedom: 1 in 10,000
    assert abs(np.corrcoef(numbers.ravel(), uniform(np.arange(1000), 64, 2).ravel())[0, 1]) < 0.02


def test_truncation():
    """Truncation scales noise towards 0, the mean of both distributions."""
    for distribution in ("normal", "uniform"):
        noise = sample_noise([1, 2], (5,), distribution)
        np.testing.assert_allclose(sample_noise([1, 2], (5,), distribution, 0.5), noise / 2, rtol=1e-6)
        assert not sample_noise([1, 2], (5,), distribution, 0.0).any()


def test_interpolation():
    """Normal noise turns at an even rate, its length geometrically between both; uniform noise follows a line."""
    start, end = np.array([2.0, 0], np.float32), np.array([0, 2.0], np.float32)
    third = interpolate(start, end, np.array([0, 1 / 3, 1]), "normal")
    assert third.dtype == np.float32
    np.testing.assert_allclose(third, [[2, 0], [3**0.5, 1], [0, 2]], atol=1e-6)
    np.testing.assert_allclose(interpolate(start, 4 * end, np.array([0.5]), "normal"), [[8**0.5, 8**0.5]], rtol=1e-6)
    np.testing.assert_allclose(interpolate(start, end, np.array([0.25]), "uniform"), [[1.5, 0.5]])
    np.testing.assert_allclose(interpolate(start, start, np.array([0.3]), "normal"), [start])
    np.testing.assert_allclose(interpolate(start, 0 * end, np.array([0.5]), "normal"), [start / 2])


def test_loop_is_closed_and_smooth():
    """It passes through each point, and no step, the one back to the start included, is much longer than others."""
    points = sample_noise(range(3), (64,), "normal")
    path = interpolation_loop(points, 60, "normal")
    assert path.shape == (60, 64)
    np.testing.assert_allclose(path[[0, 20, 40]], points, atol=1e-5)
    steps = np.linalg.norm(np.roll(path, -1, axis=0) - path, axis=1)
    changes = np.abs(steps - np.roll(steps, 1))
    assert steps.max() < 2.5 * steps.mean() and changes.max() < 0.25 * steps.max()
    lengths = np.linalg.norm(path, axis=1)
    assert lengths.min() > 0.99 * np.linalg.norm(points, axis=1).min()
    assert interpolation_loop(points, 2, "normal").shape == (2, 64)  # fewer frames than legs


def test_rows():
    """Each row goes in even steps from its point to one step before the next, the last row towards the first point."""
    points = np.array([[0.0], [4.0], [-4.0]])
    np.testing.assert_allclose(interpolation_rows(points, 2, "uniform").ravel(), [0, 2, 4, 0, -4, -2])
    points = sample_noise(range(3), (4, 4, 3), "normal")
    rows = interpolation_rows(points, 5, "normal")
    assert rows.shape == (15, 4, 4, 3)
    np.testing.assert_allclose(rows[::5], points, atol=1e-5)


def test_neighbors():
    """They lie at the given fraction of the path to the others."""
    center, *others = sample_noise(range(4), (64,), "uniform")
    near = neighbors(center, np.stack(others), 0.25, "uniform")
    np.testing.assert_allclose(near, 0.75 * center + 0.25 * np.stack(others), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js")
def test_javascript_computes_the_same():
    """noise.js and noise.py agree up to float rounding, for both distributions."""
    script = f"""
        import {{ interpolate, sampleNoise }} from "{(ASSETS / "noise.js").as_uri()}";
        const result = {{}};
        for (const distribution of ["normal", "uniform"]) {{
          const [a, b] = [7, 2 ** 32 - 1].map((seed) => sampleNoise(seed, 300, distribution));
          const noise = [a, b, interpolate(a, b, 0.3, distribution), interpolate(a, a, 0.3, distribution)];
          result[distribution] = noise.map((z) => Array.from(z));
        }}
        console.log(JSON.stringify(result));
    """
    command = ["node", "--input-type=module", "--eval", script]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for distribution in ("normal", "uniform"):
        a, b = sample_noise([7, 2**32 - 1], (300,), distribution)
        [third] = interpolate(a, b, np.array([0.3]), distribution)
        [same] = interpolate(a, a, np.array([0.3]), distribution)
        np.testing.assert_allclose(result[distribution], [a, b, third, same], rtol=1e-5, atol=1e-6)
