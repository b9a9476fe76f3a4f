"""Ways to change faces, on points whose kinds are known."""

import numpy as np
import pytest

from gan.directions import FEWEST, REACH, STEPS, clustered, edits, k_means, labelled, pole

RNG = np.random.default_rng(3)
POINTS = RNG.standard_normal((400, 6))


def test_pole():
    """Points along the difference of the means, as long as noise is."""
    points = np.array([[3.0, 4.0], [3.0, -4.0], [-3.0, 0.0]])
    np.testing.assert_allclose(pole(points, np.array([True, True, False])), [5, 0], atol=1e-6)
    # (3, 4) less the mean of the others, (0, -2), is (3, 6), of length 45 ** 0.5
    np.testing.assert_allclose(pole(points, np.array([True, False, False])), np.array([15, 30]) / 45**0.5, rtol=1e-6)


def test_labelled():
    """Towards the commonest value that the first face lacks, and nothing for a value that hardly any have."""
    glasses = np.where(POINTS[:, 0] > 0.2, "round", np.where(POINTS[:, 1] > 1, "square", "none"))
    glasses[0] = "square"
    beard = np.full(400, "none")
    beard[1:FEWEST] = "full"
    found = labelled(POINTS, {"glasses": glasses, "beard": beard})
    commonest = max(["round", "none"], key=lambda value: np.sum(glasses == value))
    assert list(found) == [f"glasses: square to {commonest}"]
    way = found[f"glasses: square to {commonest}"]
    assert abs(way[0]) > 3 * np.abs(way[2:]).max()
    assert (way[0] > 0) == (commonest == "round")


def test_k_means_finds_what_is_there():
    """Three heaps far apart, whatever the seed; as many clusters as asked for even among equal points."""
    heaps = np.repeat(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]), 50, axis=0) + RNG.normal(0, 0.5, (150, 2))
    for seed in range(5):
        kinds = k_means(heaps, 3, seed).reshape(3, 50)
        assert (kinds == kinds[:, :1]).all() and len(set(kinds[:, 0])) == 3
    assert set(k_means(np.zeros((9, 2)), 2)) == {0}


def test_clustered():
    """Kinds by size, their ways along what sets them apart."""
    features = np.where(POINTS[:, :1] > 0.5, 1.0, 0.0)
    found = clustered(POINTS, features, 2)
    assert list(found) == ["kind 1", "kind 2"]
    assert found["kind 1"][0] < 0 < found["kind 2"][0]


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_edits(law):
    """Each row begins at the face and goes evenly to REACH of the way; uniform noise stays in its cube."""
    face, one, other = np.clip(POINTS[:3], -0.9, 0.9).astype(np.float32)
    rows = edits(face, [one, 3 * other], law)
    assert rows.shape == (2, STEPS, 6)
    np.testing.assert_allclose(rows[:, 0], [face] * 2, atol=1e-6)
    if law == "uniform":
        assert np.abs(rows).max() <= 1
        np.testing.assert_allclose(rows[0, -1], (1 - REACH) * face + REACH * one, rtol=1e-5)
    else:
        angles = [np.arccos(face @ row / np.linalg.norm(face) / np.linalg.norm(row)) for row in rows[0]]
        np.testing.assert_allclose(np.diff(angles, 2), 0, atol=1e-3)
