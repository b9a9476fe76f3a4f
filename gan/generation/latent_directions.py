"""Latent directions: where to move in noise space to change one thing about an image.

    directions = find_directions(generator, noise, cache)                # {"glasses: none to round": direction, ...}
    rows = edit_paths(noise, [*directions.values()], "normal")           # (directions, STEPS, *noise.shape)
    images = generator(rows[0])                                          # from the image itself to one with glasses

A direction has length 1 and points from the mean noise of the samples without a property to the mean of those with it.
For normal noise, linear regression finds the same; InterFaceGAN (arXiv:1907.10786) takes the normal of a separating
plane.
"""

from pathlib import Path

import numpy as np

from gan.generation.generator import Generator

STEPS, REACH = 6, 4.0  # images in a row, and standard deviations of the noise from the first to the last
MIN_SAMPLES = 20  # samples with a value, and without it, that a direction needs
SAMPLES = 2000  # samples in which directions are searched
AVATAR_SAMPLES = 6000  # the same for avatars, whose attributes a small network predicts faster
CLUSTERS = 8  # of samples that have no known attributes
MAX_NOISE = 20_000_000  # numbers of noise, which take 500 MB while they are computed


def find_directions(generator: Generator, noise: np.ndarray, cache: Path) -> dict[str, np.ndarray]:
    """Finds directions that change the image of `noise` (*shape), by name; none where samples hardly differ.

    For a generator of avatars they lead to other values of known attributes, which a classifier predicts; for all
    others to clusters of images with similar ONet features.

    Arguments:
        cache: folder in which the classifier is kept.
    """
    from gan.metrics import avatar_classifier, feature_extractors

    avatars = generator.config.data == ("avatars",)
    count = min(AVATAR_SAMPLES if avatars else SAMPLES, MAX_NOISE // noise.size)
    points = np.concatenate([noise[None], generator.sample_noise(np.arange(1, count))])
    images = generator(points)
    if avatars:
        classifier = avatar_classifier.load_classifier(generator.size, cache)
        return attribute_directions(points, avatar_classifier.most_likely_values(classifier.predict(images)))
    return cluster_directions(points, feature_extractors.load_extractor("onet").embed(images), CLUSTERS)


def attribute_directions(points: np.ndarray, attributes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Computes, for each attribute, the direction to the most frequent value that the first sample does not have.

    Each direction leaves the other attributes unchanged, as far as linear directions can.

    Arguments:
        points: noise (n, *shape).
        attributes: name -> values of the samples, strings (n,).

    Returns:
        "name: value to value" -> direction (*shape). Attributes are left out where fewer than `MIN_SAMPLES` samples
        have that value, or lack it.
    """
    found = {}
    for name, values in attributes.items():
        kinds, counts = np.unique(values, return_counts=True)
        counts[(kinds == values[0]) | (counts > len(values) - MIN_SAMPLES)] = 0
        if counts.max() >= MIN_SAMPLES:
            value = kinds[counts.argmax()]
            found[f"{name}: {values[0]} to {value}"] = mean_difference(points, values == value)
    return dict(zip(found, orthogonalize(np.array([*found.values()])), strict=True)) if found else {}


def cluster_directions(points: np.ndarray, features: np.ndarray, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Computes the directions to `count` clusters of samples with similar features (n, k), the largest cluster first.

    Clusters of fewer than `MIN_SAMPLES` samples, or of nearly all, are left out.
    """
    labels = k_means(features, count, seed)
    sizes = np.bincount(labels, minlength=count)
    largest = np.argsort(-sizes, kind="stable")
    used = [label for label in largest if MIN_SAMPLES <= sizes[label] <= len(labels) - MIN_SAMPLES]
    return {
        f"cluster {number}": normalize(mean_difference(points, labels == label)) for number, label in enumerate(used, 1)
    }


def mean_difference(points: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Computes the mean of the chosen points less the mean of the others, (*shape); `chosen` is bool (n,)."""
    return points[chosen].mean(axis=0) - points[~chosen].mean(axis=0)


def orthogonalize(directions: np.ndarray) -> np.ndarray:
    """Computes, for each direction, the nearest one that is orthogonal to all others: (k, *shape), of length 1.

    These are the rows of the transposed pseudo-inverse. InterFaceGAN, section 3.3, removes one other at a time.
    """
    flat = directions.reshape(len(directions), -1)
    return np.stack([normalize(direction) for direction in np.linalg.pinv(flat).T.reshape(directions.shape)])


def normalize(direction: np.ndarray) -> np.ndarray:
    """Scales a direction to length 1."""
    return (direction / max(np.linalg.norm(direction), 1e-12)).astype(np.float32)


def edit_paths(noise: np.ndarray, directions: list[np.ndarray], distribution: str) -> np.ndarray:
    """Moves noise (*shape) along each direction, `REACH` standard deviations in even steps.

    Returns:
        (directions, STEPS, *shape); each row starts with `noise` itself.
    """
    std = 3**-0.5 if distribution == "uniform" else 1.0
    offsets = np.linspace(0, REACH * std, STEPS, dtype=np.float32).reshape(-1, *[1] * noise.ndim)
    rows = np.stack([noise + offsets * direction for direction in directions])
    return np.clip(rows, -1, 1) if distribution == "uniform" else rows


def k_means(points: np.ndarray, count: int, seed: int = 0, rounds: int = 50) -> np.ndarray:
    """Assigns each point (n, k) to one of `count` clusters, (n,). Lloyd, IEEE Trans. Information Theory 28 (1982)."""
    rng = np.random.default_rng(seed)
    centers = points[:1]
    while len(centers) < count:  # k-means++: the next center is likely to be far from the others
        weights = squared_distances(points, centers).min(axis=1)
        total = weights.sum()
        chosen = rng.choice(len(points), p=weights / total if total else None)
        centers = np.concatenate([centers, points[chosen : chosen + 1]])
    labels = np.zeros(len(points), int)
    for _ in range(rounds):
        before, labels = labels, squared_distances(points, centers).argmin(axis=1)
        if (labels == before).all():
            break
        centers = np.stack(
            [points[labels == k].mean(axis=0) if (labels == k).any() else centers[k] for k in range(count)]
        )
    return labels


def squared_distances(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Computes squared distances between points (n, d) and centers (k, d): (n, k)."""
    return ((points**2).sum(1)[:, None] - 2 * points @ centers.T + (centers**2).sum(1)).clip(0)
