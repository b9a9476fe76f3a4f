"""Latent directions of points whose attributes are known."""

import numpy as np
import pytest

from gan.generation.latent_directions import (
    MIN_SAMPLES,
    REACH,
    STEPS,
    attribute_directions,
    cluster_directions,
    edit_paths,
    k_means,
    mean_difference,
    orthogonalize,
)

RNG = np.random.default_rng(3)
POINTS = RNG.standard_normal((400, 6))


def test_mean_difference():
    """(3, 4) less the mean of the others, (0, -2), is (3, 6)."""
    points = np.array([[3.0, 4.0], [3.0, -4.0], [-3.0, 0.0]])
    np.testing.assert_allclose(mean_difference(points, np.array([True, False, False])), [3, 6])


def test_orthogonalize():
    """(1, 0) and (1, 1) give (1, -1), orthogonal to the second, and (0, 1), orthogonal to the first, of length 1."""
    found = orthogonalize(np.array([[2.0, 0.0], [3.0, 3.0]]))
    np.testing.assert_allclose(found, [[0.5**0.5, -(0.5**0.5)], [0, 1]], atol=1e-6)
    directions = RNG.standard_normal((3, 2, 4))
    found, flat = orthogonalize(directions).reshape(3, 8), directions.reshape(3, 8)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    products = found @ flat.T
    assert (np.diag(products) > 0).all() and np.abs(products - np.diag(np.diag(products))).max() < 1e-6


def test_attribute_directions():
    """They lead to the most frequent value that the first sample lacks; values that hardly any has are left out."""
    glasses = np.where(POINTS[:, 0] > 0.2, "round", np.where(POINTS[:, 1] > 1, "square", "none"))
    glasses[0] = "square"
    beard = np.full(400, "none")
    beard[1:MIN_SAMPLES] = "full"
    found = attribute_directions(POINTS, {"glasses": glasses, "beard": beard})
    commonest = max(["round", "none"], key=lambda value: np.sum(glasses == value))
    assert list(found) == [f"glasses: square to {commonest}"]
    direction = found[f"glasses: square to {commonest}"]
    assert abs(direction[0]) > 3 * np.abs(direction[2:]).max()
    assert (direction[0] > 0) == (commonest == "round")


def test_attribute_directions_leave_correlated_attributes_unchanged():
    """Where samples with glasses mostly have beards, the direction to glasses still leaves the beard alone."""
    points = RNG.standard_normal((4000, 6))
    attributes = {
        "glasses": np.where(points[:, 0] > 0, "round", "none"),
        "beard": np.where(points[:, 0] + 0.5 * points[:, 1] > 0, "full", "none"),
    }
    attributes["glasses"][0] = attributes["beard"][0] = "none"
    glasses, beard = attribute_directions(points, attributes).values()
    assert abs(glasses @ mean_difference(points, attributes["beard"] == "full")) < 1e-5
    assert abs(beard @ mean_difference(points, attributes["glasses"] == "round")) < 1e-5
    assert glasses[0] > 0.3 and glasses[1] < -0.3


def test_k_means():
    """It finds three distant clusters, whatever the seed, and accepts equal points."""
    groups = np.repeat(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]), 50, axis=0) + RNG.normal(0, 0.5, (150, 2))
    for seed in range(5):
        labels = k_means(groups, 3, seed).reshape(3, 50)
        assert (labels == labels[:, :1]).all() and len(set(labels[:, 0])) == 3
    assert set(k_means(np.zeros((9, 2)), 2)) == {0}


def test_cluster_directions():
    """Clusters are numbered by size, and their directions follow what separates them."""
    features = np.where(POINTS[:, :1] > 0.5, 1.0, 0.0)
    found = cluster_directions(POINTS, features, 2)
    assert list(found) == ["cluster 1", "cluster 2"]
    assert found["cluster 1"][0] < 0 < found["cluster 2"][0]


@pytest.mark.parametrize(("distribution", "std"), [("normal", 1), ("uniform", 3**-0.5)])
def test_edit_paths(distribution, std):
    """Each row starts at the noise and ends REACH standard deviations away; uniform noise stays in its cube."""
    noise, directions = np.clip(POINTS[0], -0.9, 0.9).astype(np.float32), np.eye(6, dtype=np.float32)[:2]
    rows = edit_paths(noise, list(directions), distribution)
    assert rows.shape == (2, STEPS, 6)
    expected = noise + REACH * std * np.linspace(0, 1, STEPS)[:, None] * directions[1]
    np.testing.assert_allclose(rows[1], expected if distribution == "normal" else expected.clip(-1, 1), rtol=1e-5)
