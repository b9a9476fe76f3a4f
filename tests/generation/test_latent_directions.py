"""Ways to change faces, on points whose kinds are known."""

import numpy as np
import pytest

from gan.generation.latent_directions import (
    FEWEST,
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


def test_apart():
    """(3, 4) less the mean of the others, (0, -2), is (3, 6)."""
    points = np.array([[3.0, 4.0], [3.0, -4.0], [-3.0, 0.0]])
    np.testing.assert_allclose(mean_difference(points, np.array([True, False, False])), [3, 6])


def test_alone():
    """Of (1, 0) and (1, 1): (1, -1), at right angles to the second, and (0, 1), to the first; each of length 1."""
    found = orthogonalize(np.array([[2.0, 0.0], [3.0, 3.0]]))
    np.testing.assert_allclose(found, [[0.5**0.5, -(0.5**0.5)], [0, 1]], atol=1e-6)
    ways = RNG.standard_normal((3, 2, 4))
    found, flat = orthogonalize(ways).reshape(3, 8), ways.reshape(3, 8)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    products = found @ flat.T
    assert (np.diag(products) > 0).all() and np.abs(products - np.diag(np.diag(products))).max() < 1e-6


def test_labelled():
    """Towards the commonest value that the first face lacks, and nothing for a value that hardly any have."""
    glasses = np.where(POINTS[:, 0] > 0.2, "round", np.where(POINTS[:, 1] > 1, "square", "none"))
    glasses[0] = "square"
    beard = np.full(400, "none")
    beard[1:FEWEST] = "full"
    found = attribute_directions(POINTS, {"glasses": glasses, "beard": beard})
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
    found = cluster_directions(POINTS, features, 2)
    assert list(found) == ["kind 1", "kind 2"]
    assert found["kind 1"][0] < 0 < found["kind 2"][0]


@pytest.mark.parametrize(("law", "deviation"), [("normal", 1), ("uniform", 3**-0.5)])
def test_edits(law, deviation):
    """Each row begins at the face and goes evenly to REACH deviations; uniform noise stays in its cube."""
    face, ways = np.clip(POINTS[0], -0.9, 0.9).astype(np.float32), np.eye(6, dtype=np.float32)[:2]
    rows = edit_paths(face, list(ways), law)
    assert rows.shape == (2, STEPS, 6)
    expected = face + REACH * deviation * np.linspace(0, 1, STEPS)[:, None] * ways[1]
    np.testing.assert_allclose(rows[1], expected if law == "normal" else expected.clip(-1, 1), rtol=1e-5)


def test_attributes_that_come_together_are_changed_apart():
    """Where faces with glasses are mostly bearded, the way to glasses still leaves the beard alone."""
    points = RNG.standard_normal((4000, 6))
    words = {
        "glasses": np.where(points[:, 0] > 0, "round", "none"),
        "beard": np.where(points[:, 0] + 0.5 * points[:, 1] > 0, "full", "none"),
    }
    words["glasses"][0] = words["beard"][0] = "none"
    glasses, beard = attribute_directions(points, words).values()
    assert abs(glasses @ mean_difference(points, words["beard"] == "full")) < 1e-5
    assert abs(beard @ mean_difference(points, words["glasses"] == "round")) < 1e-5
    assert glasses[0] > 0.3 and glasses[1] < -0.3
