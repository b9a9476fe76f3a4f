"""Ways to change a face: where in the noise the faces are that have something in common.

found = labelled(noise, {"glasses": array(["none", "round", ...])})  # {"glasses: none to round": a way, ...}
found = clustered(noise, features, 6)                                # {"kind 1": a way, ...}
rows = edits(face, [*found.values()], law)                           # noise, (ways, STEPS, *shape)

A way is a direction of length 1: from the mean noise of those that do not have it to the mean of those that do. For
normal noise a linear regression finds the same; InterFaceGAN (arXiv:1907.10786) takes the normal of a plane between.
"""

import numpy as np

STEPS, REACH = 6, 4.0  # faces in a row, and how many deviations of the noise the last is from the first
FEWEST = 20  # faces of a kind from which its mean noise says something


def attribute_directions(points: np.ndarray, words: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each attribute, towards the commonest value that the first face does not have: ways like the noise.

    Each leaves the other attributes alone, as far as straight ways can. An attribute is left out where fewer than
    `FEWEST` faces have that value.
    """
    found = {}
    for name, values in words.items():
        kinds, counts = np.unique(values, return_counts=True)
        counts[(kinds == values[0]) | (counts > len(values) - FEWEST)] = 0
        if counts.max() >= FEWEST:
            value = kinds[counts.argmax()]
            found[f"{name}: {values[0]} to {value}"] = mean_difference(points, values == value)
    return dict(zip(found, orthogonalize(np.array([*found.values()])), strict=True)) if found else {}


def cluster_directions(points: np.ndarray, features: np.ndarray, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """For faces without labels: towards each of `count` kinds that look alike, found by k-means, the largest first."""
    kinds = k_means(features, count, seed)
    sizes = np.bincount(kinds, minlength=count)
    order = [kind for kind in np.argsort(-sizes, kind="stable") if FEWEST <= sizes[kind] <= len(kinds) - FEWEST]
    return {f"kind {number}": normalize(mean_difference(points, kinds == kind)) for number, kind in enumerate(order, 1)}


def mean_difference(points: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """How far the mean of the chosen is from the mean of the others, (*shape)."""
    return points[chosen].mean(axis=0) - points[~chosen].mean(axis=0)


def orthogonalize(ways: np.ndarray) -> np.ndarray:
    """For each way the one nearest to it that is at right angles to all others, (k, *shape), of length 1.

    Those are the rows of the transposed pseudo-inverse. InterFaceGAN, section 3.3, takes out one other at a time.
    """
    flat = ways.reshape(len(ways), -1)
    return np.stack([normalize(way) for way in np.linalg.pinv(flat).T.reshape(ways.shape)])


def normalize(way: np.ndarray) -> np.ndarray:
    """The same direction, of length 1."""
    return (way / max(np.linalg.norm(way), 1e-12)).astype(np.float32)


def edit_paths(face: np.ndarray, ways: list[np.ndarray], law: str) -> np.ndarray:
    """From a face, (*shape), along each way: (ways, STEPS, *shape), the face itself first."""
    deviation = 3**-0.5 if law == "uniform" else 1.0
    far = np.linspace(0, REACH * deviation, STEPS, dtype=np.float32).reshape(-1, *[1] * face.ndim)
    rows = np.stack([face + far * way for way in ways])
    return np.clip(rows, -1, 1) if law == "uniform" else rows


def k_means(points: np.ndarray, count: int, seed: int = 0, rounds: int = 50) -> np.ndarray:
    """Which of `count` clusters each point is in, (n,). Lloyd, IEEE Transactions on Information Theory 28 (1982)."""
    rng = np.random.default_rng(seed)
    centres = points[:1]
    while len(centres) < count:  # k-means++: the next centre is likely to be far from the others
        chances = squared(points, centres).min(axis=1)
        total = chances.sum()
        chosen = rng.choice(len(points), p=chances / total if total else None)
        centres = np.concatenate([centres, points[chosen : chosen + 1]])
    kinds = np.zeros(len(points), int)
    for _ in range(rounds):
        before, kinds = kinds, squared(points, centres).argmin(axis=1)
        if (kinds == before).all():
            break
        centres = np.stack(
            [points[kinds == k].mean(axis=0) if (kinds == k).any() else centres[k] for k in range(count)]
        )
    return kinds


def squared(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances, (n, k)."""
    return ((points**2).sum(1)[:, None] - 2 * points @ centres.T + (centres**2).sum(1)).clip(0)
