"""Evaluation: all scores of a set of samples against held-out images, and the protocol that makes them comparable.

scores = compute_metrics(extractor, extractor.embed(fake), held_out, training, cache_folder)
result, nearest = compare_with_training(fake, held_out, training, flip=True)
protocol, scores = detect_content(fake, held_out, False, cache)
"""

import contextlib
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan import files
from gan.errors import summarize
from gan.metrics import distances, memorization
from gan.thumbnails import make_thumbnails

HELD_OUT_NAME = "held out"  # the name of a run's own held-out images, in protocols
HALVES = ("choose", "report")  # every second image: settings are chosen by one half, and reported by the other
MAX_DETECTED = 1000  # samples that the face detector gets, at a hundred a second; half as many real images
KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000  # a subset is smaller where there are fewer images
MANIFOLD_K, COVERAGE_K = 3, 5  # which nearest neighbor, for precision and recall, and for density and coverage
PROTOCOL = {  # of `compute_metrics`
    "kid": {"subsets": KID_SUBSETS, "of at most": KID_SUBSET_SIZE, "times": 1000},
    "neighbours": {"precision, recall": MANIFOLD_K, "density, coverage": COVERAGE_K},
}


def name_half(name: str, half: str) -> str:
    """The name of one of the `HALVES` of some images, or of all of them, for protocols."""
    return f"{name}, half to {half}" if half else name


@dataclass(frozen=True)
class ImageSubset:
    """Some of a set of images.

    Arguments:
        images: uint8 (n, h, w, 3), perhaps mapped from disk.
        rows: the numbers of the images in the subset, (m,).
        name: the name of the data, for protocols.
    """

    images: np.ndarray
    rows: np.ndarray
    name: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def subsample(self, count: int, seed: int = 0) -> "ImageSubset":
        """Chooses at most `count` of the images by `seed`, in order."""
        if count >= len(self):
            return self
        chosen = np.random.default_rng([seed, 3]).choice(self.rows, count, replace=False)
        return dataclasses.replace(self, rows=np.sort(chosen))

    def halve(self, half: str) -> "ImageSubset":
        """Chooses every second of the images, one of `HALVES`; the name says which."""
        return dataclasses.replace(self, rows=self.rows[HALVES.index(half) :: 2], name=name_half(self.name, half))

    def load(self) -> np.ndarray:
        """Reads the images into memory, uint8 (m, h, w, 3)."""
        return np.asarray(self.images[self.rows])

    def digest(self) -> str:
        """Computes the digest of the pixels, 16 hexadecimal digits."""
        found = hashlib.blake2b(str(self.images.shape[1:]).encode(), digest_size=8)
        for i in range(0, len(self), 1000):
            found.update(np.ascontiguousarray(self.images[self.rows[i : i + 1000]]))
        return found.hexdigest()

    @property
    def protocol(self) -> dict:
        """The name, number and digest of the images, for the protocol of a score."""
        return {"data": self.name, "faces": len(self), "digest": self.digest()}


def load_features(extractor, real: ImageSubset, folder: Path) -> np.ndarray:
    """Loads the features of real images, float32 (n, d), from `folder`; computes and stores them there if need be."""
    how = hashlib.blake2b(json.dumps([extractor.digest, extractor.protocol]).encode(), digest_size=8).hexdigest()
    path = folder / f"{extractor.name}-{how}-{real.digest()}.npy"
    with contextlib.suppress(OSError, ValueError), files.damage_as_value_error():
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = path.stat().st_size == found.offset + found.nbytes
        if whole and found.ndim == 2 and len(found) == len(real) and found.dtype == np.float32:
            return np.array(found)
    found = extractor.embed(real.images, real.rows)
    with files.atomic_write(path) as file:
        np.save(file, found)
    return found


def feature_std(real: np.ndarray) -> np.ndarray:
    """Computes the standard deviation of each feature of real images (n, d) -> (d,); infinite where it is nearly 0.

    A feature that hardly any real image has would otherwise count for more than all the others together.
    """
    std = real.std(axis=0, dtype=np.float64)
    return np.where(std > 0.01 * np.median(std), std, np.inf)


def compute_metrics(
    extractor, embedded: np.ndarray, held_out: ImageSubset, training: ImageSubset, folder: Path, seed: int = 0
) -> dict[str, float]:
    """Scores samples in the features of one network.

    Arguments:
        extractor: a `gan.metrics.feature_extractors.FeatureExtractor`.
        embedded: features of samples, float32 (n, d).
        held_out: the images to score against.
        training: the images whose score is the floor: as many as there are samples, or all where there are fewer.
        folder: where features of real images are stored.
        seed: of KID's subsets, and of the choice of training images.

    Returns:
        fd; kid and kid_spread, its standard deviation over subsets, both x 1000; precision, recall, density, coverage;
        diversity, 1 if equal to that of the real images, or if these are all the same; floor_fd, floor_kid.
    """
    real = load_features(extractor, held_out, folder)
    scale = feature_std(real) if extractor.scaled else 1.0
    real, features = real / scale, embedded / scale
    trained = load_features(extractor, training.subsample(len(embedded), seed), folder) / scale
    kid, kid_std = distances.kid(real, features, KID_SUBSETS, KID_SUBSET_SIZE, seed)
    precision, recall = distances.precision_recall(real, features, MANIFOLD_K)
    density, coverage = distances.density_coverage(real, features, COVERAGE_K)
    real_diversity = distances.diversity(real)
    return {
        "fd": distances.frechet_distance(real, features),
        "kid": 1000 * kid,
        "kid_spread": 1000 * kid_std,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "diversity": distances.diversity(features) / real_diversity if real_diversity else 1.0,
        "floor_fd": distances.frechet_distance(real, trained),
        "floor_kid": 1000 * distances.kid(real, trained, KID_SUBSETS, KID_SUBSET_SIZE, seed)[0],
    }


def compare_with_training(
    fake: np.ndarray, held_out: ImageSubset, training: ImageSubset, flip: bool, seed: int = 0
) -> tuple[memorization.MemorizationResult, np.ndarray]:
    """Measures how near samples are to training images, and finds the ten samples that are nearest.

    Arguments:
        fake: samples, uint8 (n, h, w, 3).
        held_out: images that did not train, for comparison.
        training: images that did.
        flip: whether mirrored copies are copies too.
        seed: of the resamples for the interval.

    Returns:
        The result, and the numbers of the ten samples, of the nearest training image and of the nearest held-out image
        of each, int (10, 3), the nearest first.
    """
    samples = make_thumbnails(fake)
    real = make_thumbnails(held_out.images, held_out.rows)
    trained = make_thumbnails(training.images, training.rows)
    to_trained, nearest_trained = memorization.nearest_thumbnails(samples, trained, flip=flip)
    to_real, nearest_real = memorization.nearest_thumbnails(samples, real, flip=flip)
    real_to_trained, _ = memorization.nearest_thumbnails(real, trained, flip=flip)
    real_to_real, _ = memorization.nearest_thumbnails(real, real, flip=flip, skip_self=True)
    closest = np.argsort(to_trained)[:10]
    pairs = [closest, training.rows[nearest_trained[closest]], held_out.rows[nearest_real[closest]]]
    result = memorization.measure_memorization(to_trained, to_real, real_to_trained, real_to_real, seed=seed)
    return result, np.stack(pairs, axis=1)


def detect_content(fake: np.ndarray, real: ImageSubset, avatars: bool, cache: Path) -> tuple[dict, dict]:
    """Recognizes what is in samples: by a face detector or, of avatars, by the classifier of their attributes.

    Arguments:
        fake: samples, uint8 (n, h, w, 3).
        real: the images to compare with.
        avatars: whether the images are avatars, which the face detector does not know.
        cache: the folder of the classifier, which is trained where there is none.

    Returns:
        The protocol, and the scores: face_rate and face_rate_real; of avatars also mode_coverage, modes_missing,
        attribute_distances and attribute_shares.
    """
    from gan.metrics import avatar_classifier, feature_extractors  # both bring TensorFlow

    if not avatars:
        detect, fake = feature_extractors.load_face_detector(), fake[:MAX_DETECTED]
        photographs = real.subsample(MAX_DETECTED // 2).load()
        protocol = {
            "detector": "mtcnn 1.0.0",
            "size": feature_extractors.DETECTION_SIZE,
            "surer than": feature_extractors.MIN_CONFIDENCE,
            "samples": len(fake),
        }
        return protocol, {"face_rate": float(detect(fake).mean()), "face_rate_real": float(detect(photographs).mean())}
    classifier = avatar_classifier.load_classifier(fake.shape[1], cache)
    predicted, predicted_real = classifier.predict(fake), classifier.predict(real.load())
    shares = {
        "samples": avatar_classifier.compute_histograms(predicted),
        "data": avatar_classifier.compute_histograms(predicted_real),
    }
    comparison = avatar_classifier.compare_histograms(shares["samples"], shares["data"])
    return {"classifier": classifier.digest}, {
        "face_rate": classifier.face_rate(predicted),
        "face_rate_real": classifier.face_rate(predicted_real),
        "mode_coverage": comparison.coverage,
        "modes_missing": comparison.missing,
        "attribute_distances": comparison.distances,
        "attribute_shares": shares,
    }


def protocol_differences(one: dict, other: dict, path: str = "") -> list[str]:
    """Lists the differences of two protocols, a line each; `path` precedes the names."""
    lines = []
    for name in {**one, **other}:
        value, other_value = one.get(name), other.get(name)
        if isinstance(value, dict) and isinstance(other_value, dict):
            lines += protocol_differences(value, other_value, f"{path}{name} ")
        elif value != other_value:
            lines.append(f"{path}{name}: {summarize(value)} and {summarize(other_value)}")
    return lines


def select_best(scores: list[float], errors: list[float]) -> int:
    """Selects the best of a run's scores, of which low is good: the last within two standard errors of the lowest.

    Of generators that scores cannot tell apart, the one that trained longest is the likeliest to be better. Breiman et
    al., Classification and Regression Trees, 1984, section 3.4.3, has this rule for the size of trees, with one
    standard error. The lowest of twenty equal scores is by chance 1.9 of these below their mean (Harter, Biometrika 48,
    1961, table 1), less where neighbors are alike.
    """
    lowest = int(np.argmin(scores))
    return max(i for i, score in enumerate(scores) if score <= scores[lowest] + 2 * errors[lowest])
