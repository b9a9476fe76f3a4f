"""Ways to change a face: where in the noise the faces are that have something in common.

found = labelled(noise, {"glasses": array(["none", "round", ...])})  # {"glasses: none to round": a point, ...}
found = clustered(noise, features, 6)                                # {"kind 1": a point, ...}
rows = edits(face, [*found.values()], law)                           # noise, (ways, STEPS, *shape)

A way leads from a face towards the mean noise of such faces, as InterFaceGAN's (arXiv:1907.10786) along the normal
of a plane between those that have it and those that do not.
"""

import numpy as np

from gan import noise

STEPS, REACH = 6, 0.6  # faces in a row, and how far the last one is on the way
FEWEST = 20  # faces of a kind from which its mean noise says something


def labelled(points: np.ndarray, words: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """For each attribute, towards the commonest value that the first face does not have: points like the noise.

    An attribute is left out where fewer than `FEWEST` faces have that value.
    """
    found = {}
    for name, values in words.items():
        kinds, counts = np.unique(values, return_counts=True)
        counts[(kinds == values[0]) | (counts > len(values) - FEWEST)] = 0
        if counts.max() >= FEWEST:
            value = kinds[counts.argmax()]
            found[f"{name}: {values[0]} to {value}"] = pole(points, values == value)
    return found


def clustered(points: np.ndarray, features: np.ndarray, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """For faces without labels: towards each of `count` kinds that look alike, found by k-means, the largest first."""
    kinds = k_means(features, count, seed)
    sizes = np.bincount(kinds, minlength=count)
    order = [kind for kind in np.argsort(-sizes, kind="stable") if FEWEST <= sizes[kind] <= len(kinds) - FEWEST]
    return {f"kind {number}": pole(points, kinds == kind) for number, kind in enumerate(order, 1)}


def pole(points: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The noise that has most of what sets the chosen ones apart, as long as noise is, (*shape)."""
    apart = points[chosen].mean(axis=0) - points[~chosen].mean(axis=0)
    return (apart * np.linalg.norm(points[0]) / max(np.linalg.norm(apart), 1e-12)).astype(np.float32)


def edits(face: np.ndarray, poles: list[np.ndarray], law: str) -> np.ndarray:
    """From a face, (*shape), some of the way towards each pole: (ways, STEPS, *shape), the face itself first."""
    shares = np.linspace(0, REACH, STEPS)
    rows = np.stack([noise.between(face, pole, shares, law) for pole in poles])
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
