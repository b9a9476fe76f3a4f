"""Evaluation: all scores of a set of samples against held-out images, and the protocol that makes them comparable.

scores = compute_metrics(extractor, fake, held_out, training, cache_folder)
copying, pairs = find_copies(fake, held_out, training, flip=True)
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan import files
from gan.metrics import distances, memorization

MAX_HELD_OUT = 5000  # held-out images that are used
DETECTED = 1000  # samples that the face detector sees, at a hundred a second; half as many real images
HELD_OUT = "held out"  # the name of a run's own held-out images
SUBSETS, SUBSET = 100, 1000  # of KID: how many, and of how many images each, if there are so many
MANIFOLD, BALLS = 3, 5  # which nearest neighbor, for precision and recall, and for density and coverage
PROTOCOL = {
    "kid": {"subsets": SUBSETS, "of at most": SUBSET, "times": 1000},
    "neighbours": {"precision, recall": MANIFOLD, "density, coverage": BALLS},
}  # of `compute_metrics`


@dataclass(frozen=True)
class ImageSubset:
    """Some of a set of images.

    Arguments:
        images: uint8 (n, h, w, 3), perhaps on disk.
        rows: the numbers of the images that belong to the subset.
        name: of the data, for protocols.
    """

    images: np.ndarray
    rows: np.ndarray
    name: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def subsample(self, count: int, seed: int = 0) -> "ImageSubset":
        """At most `count` of them, chosen by `seed`, in order."""
        if count >= len(self):
            return self
        chosen = np.random.default_rng([seed, 3]).choice(self.rows, count, replace=False)
        return dataclasses.replace(self, rows=np.sort(chosen))

    def load(self) -> np.ndarray:
        """The images in memory, uint8 (n, h, w, 3)."""
        return np.asarray(self.images[self.rows])

    def digest(self) -> str:
        """16 hexadecimal digits of the pixels."""
        found = hashlib.blake2b(str(self.images.shape[1:]).encode(), digest_size=8)
        for i in range(0, len(self), 1000):
            found.update(np.ascontiguousarray(self.images[self.rows[i : i + 1000]]))
        return found.hexdigest()

    @property
    def protocol(self) -> dict:
        """Which images these are, for the protocol of a score."""
        return {"data": self.name, "faces": len(self), "digest": self.digest()}


def cached_features(network, real: ImageSubset, folder: Path) -> np.ndarray:
    """The features of real images, float32 (n, d), computed once and kept in `folder`."""
    how = hashlib.blake2b(json.dumps([network.digest, network.protocol]).encode(), digest_size=8).hexdigest()
    path = folder / f"{network.name}-{how}-{real.digest()}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        found = np.load(path, allow_pickle=False)
        if len(found) == len(real):
            return found
    found = network.embed(real.images, real.rows)
    with files.atomic_write(path) as file:
        np.save(file, found)
    return found


def feature_std(real: np.ndarray) -> np.ndarray:
    """The standard deviation of each feature over real images, (d,); infinite where it is next to nothing.

    A feature that real images hardly ever have would otherwise count for more than all the others together.
    """
    found = real.std(axis=0, dtype=np.float64)
    return np.where(found > 0.01 * np.median(found), found, np.inf)


def compute_metrics(
    extractor, fake: np.ndarray, held_out: ImageSubset, training: ImageSubset, folder: Path, seed: int = 0
) -> dict[str, float]:
    """Scores samples in the features of one network.

    Arguments:
        extractor: a `gan.metrics.feature_extractors.FeatureExtractor`.
        fake: samples uint8 (n, h, w, 3).
        held_out: images to score against.
        training: images whose score is the floor: as many of them as there are samples, if there are so many.
        folder: where features of real images are kept.

    Returns:
        fd, kid, kid_spread (both kid x 1000), precision, recall, density, coverage, diversity (1: the real images', or
        those are all one); floor_fd, floor_kid.
    """
    real = cached_features(extractor, held_out, folder)
    scale = feature_std(real) if extractor.scaled else 1.0
    real, features = real / scale, extractor.embed(fake) / scale
    trained = cached_features(extractor, training.subsample(len(fake), seed), folder) / scale
    mean, spread = distances.kid(real, features, SUBSETS, SUBSET, seed)
    precision, recall = distances.precision_recall(real, features, MANIFOLD)
    density, coverage = distances.density_coverage(real, features, BALLS)
    real_diversity = distances.diversity(real)
    return {
        "fd": distances.frechet_distance(real, features),
        "kid": 1000 * mean,
        "kid_spread": 1000 * spread,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "diversity": distances.diversity(features) / real_diversity if real_diversity else 1.0,
        "floor_fd": distances.frechet_distance(real, trained),
        "floor_kid": 1000 * distances.kid(real, trained, SUBSETS, SUBSET, seed)[0],
    }


def find_copies(fake: np.ndarray, held_out: ImageSubset, training: ImageSubset, flip: bool, seed: int = 0):
    """Measures how near samples are to training images, and finds the ten nearest pairs.

    With `flip`, mirrored copies are copies too. Returns a `memorization.MemorizationResult`, and for each pair the
    numbers of the sample, its nearest training image and its nearest held-out image, (10, 3), the closest first.
    """
    samples = memorization.thumbnails(fake)
    real = memorization.thumbnails(held_out.images, held_out.rows)
    trained = memorization.thumbnails(training.images, training.rows)
    to_trained, nearest_trained = memorization.nearest_thumbnails(samples, trained, flip=flip)
    to_real, nearest_real = memorization.nearest_thumbnails(samples, real, flip=flip)
    real_to_trained, _ = memorization.nearest_thumbnails(real, trained, flip=flip)
    real_to_real, _ = memorization.nearest_thumbnails(real, real, flip=flip, skip_self=True)
    closest = np.argsort(to_trained)[:10]
    pairs = [closest, training.rows[nearest_trained[closest]], held_out.rows[nearest_real[closest]]]
    result = memorization.measure_memorization(to_trained, to_real, real_to_trained, real_to_real, seed=seed)
    return result, np.stack(pairs, axis=1)


def detect_content(
    fake: np.ndarray, unseen: ImageSubset, avatars: bool, cache: Path, progress: Callable
) -> tuple[dict, dict]:
    """Recognizes what is in samples: by a face detector or, of avatars, by the classifier of their attributes.

    `progress(title)` is as for `avatar_classifier.load_classifier`, which trains the classifier if `cache` has none.
    Returns the protocol, and the scores.
    """
    from gan.metrics import avatar_classifier, feature_extractors  # both bring TensorFlow

    if not avatars:
        detect, fake = feature_extractors.load_face_detector(), fake[:DETECTED]
        real = unseen.subsample(DETECTED // 2).load()
        protocol = {
            "detector": "mtcnn 1.0.0",
            "size": feature_extractors.DETECTION_SIZE,
            "surer than": feature_extractors.MIN_CONFIDENCE,
            "samples": len(fake),
        }
        return protocol, {"face_rate": float(detect(fake).mean()), "face_rate_real": float(detect(real).mean())}
    classifier = avatar_classifier.load_classifier(fake.shape[1], cache, progress)
    predicted, real = classifier.predict(fake), classifier.predict(unseen.load())
    shares = {"samples": avatar_classifier.histograms(predicted), "data": avatar_classifier.histograms(real)}
    comparison = avatar_classifier.compare_histograms(shares["samples"], shares["data"])
    return {"classifier": classifier.digest}, {
        "face_rate": classifier.face_rate(predicted),
        "face_rate_real": classifier.face_rate(real),
        "mode_coverage": comparison.coverage,
        "modes_missing": comparison.missing,
        "attribute_distances": comparison.distances,
        "attribute_shares": shares,
    }


def protocol_differences(one: dict, other: dict, path: str = "") -> list[str]:
    """The differences of two protocols, a line each."""
    lines = []
    for name in {**one, **other}:
        here, there = one.get(name), other.get(name)
        if isinstance(here, dict) and isinstance(there, dict):
            lines += protocol_differences(here, there, f"{path}{name} ")
        elif here != there:
            lines.append(f"{path}{name}: {here} and {there}")
    return lines


def select_best(scores: list[float], errors: list[float]) -> int:
    """Selects the best of a run's scores, of which low is good: the last within a standard error of the lowest.

    Of generators that scores cannot tell apart, the one that trained longest is the likeliest to be better. Breiman et
    al., Classification and Regression Trees, 1984, section 3.4.3, has this rule for the size of trees.
    """
    lowest = int(np.argmin(scores))
    return max(i for i, score in enumerate(scores) if score <= scores[lowest] + errors[lowest])
