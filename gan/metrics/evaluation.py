"""Every score of made faces against faces that never trained, and the protocol without which a score says nothing.

scores = against(network, fake, held, train, folder)
copying, pairs = copies(fake, held, train, flip=True)
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

MAX_HELD_OUT = 5000  # held-out faces that are looked at
DETECTED = 1000  # samples in which a detector looks for a face, at a hundred a second; half as many real ones
HELD_OUT = "held out"  # the name of faces of a run's own data that never trained
SUBSETS, SUBSET = 100, 1000  # of KID: how many, and of how many faces each, if there are so many
MANIFOLD, BALLS = 3, 5  # which of the nearest faces, for precision and recall, and for density and coverage
PROTOCOL = {
    "kid": {"subsets": SUBSETS, "of at most": SUBSET, "times": 1000},
    "neighbours": {"precision, recall": MANIFOLD, "density, coverage": BALLS},
}  # of `against`


@dataclass(frozen=True)
class ImageSubset:
    """Real faces: images uint8 (n, h, w, 3), maybe on disk, the numbers of those that are meant, and whose they are."""

    images: np.ndarray
    rows: np.ndarray
    name: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def subsample(self, count: int, seed: int = 0) -> "ImageSubset":
        """At most `count` of them, drawn by `seed`, in order."""
        if count >= len(self):
            return self
        chosen = np.random.default_rng([seed, 3]).choice(self.rows, count, replace=False)
        return dataclasses.replace(self, rows=np.sort(chosen))

    def load(self) -> np.ndarray:
        """The images themselves, in memory."""
        return np.asarray(self.images[self.rows])

    def digest(self) -> str:
        """16 hexadecimal digits of their pixels."""
        found = hashlib.blake2b(str(self.images.shape[1:]).encode(), digest_size=8)
        for i in range(0, len(self), 1000):
            found.update(np.ascontiguousarray(self.images[self.rows[i : i + 1000]]))
        return found.hexdigest()

    @property
    def protocol(self) -> dict:
        """Which faces they are, for the protocol of a score."""
        return {"data": self.name, "faces": len(self), "digest": self.digest()}


def cached_features(network, real: ImageSubset, folder: Path) -> np.ndarray:
    """What a network sees in real faces, float32 (n, d), computed once and kept in `folder`."""
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
    """Each feature's standard deviation over real faces, (d,); infinite where it is next to nothing.

    A feature that real faces hardly ever have would otherwise count for more than all the others together.
    """
    found = real.std(axis=0, dtype=np.float64)
    return np.where(found > 0.01 * np.median(found), found, np.inf)


def compute_metrics(
    network, fake: np.ndarray, held: ImageSubset, train: ImageSubset, folder: Path, seed: int = 0
) -> dict[str, float]:
    """Scores of `fake` in one network's features, and the same of as many training faces: the floor.

    fd, kid, kid_spread (both kid x 1000), precision, recall, density, coverage, diversity (1: as far apart as the
    real ones, or those are all one); floor_fd, floor_kid. Where there are fewer training faces the floor is of all.
    """
    real = cached_features(network, held, folder)
    scale = feature_std(real) if network.scaled else 1.0
    real, made = real / scale, network.embed(fake) / scale
    known = cached_features(network, train.subsample(len(fake), seed), folder) / scale
    mean, spread = distances.kid(real, made, SUBSETS, SUBSET, seed)
    precision, recall = distances.precision_recall(real, made, MANIFOLD)
    density, coverage = distances.density_coverage(real, made, BALLS)
    apart = distances.diversity(real)
    return {
        "fd": distances.frechet_distance(real, made),
        "kid": 1000 * mean,
        "kid_spread": 1000 * spread,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "diversity": distances.diversity(made) / apart if apart else 1.0,
        "floor_fd": distances.frechet_distance(real, known),
        "floor_kid": 1000 * distances.kid(real, known, SUBSETS, SUBSET, seed)[0],
    }


def find_copies(fake: np.ndarray, held: ImageSubset, train: ImageSubset, flip: bool, seed: int = 0):
    """How near the samples are to all training faces, and the ten nearest pairs.

    `flip`: mirrored copies are copies too. Returns a `memorisation.Memorisation`, and for each pair the numbers of the
    sample, of its nearest training face and of its nearest held-out face, (10, 3), the closest first.
    """
    made = memorization.thumbnails(fake)
    real = memorization.thumbnails(held.images, held.rows)
    known = memorization.thumbnails(train.images, train.rows)
    to_known, which_known = memorization.nearest_thumbnails(made, known, flip=flip)
    to_real, which_real = memorization.nearest_thumbnails(made, real, flip=flip)
    held_to_known, _ = memorization.nearest_thumbnails(real, known, flip=flip)
    held_to_held, _ = memorization.nearest_thumbnails(real, real, flip=flip, skip_self=True)
    closest = np.argsort(to_known)[:10]
    pairs = np.stack([closest, train.rows[which_known[closest]], held.rows[which_real[closest]]], axis=1)
    return memorization.measure_memorization(to_known, to_real, held_to_known, held_to_held, seed=seed), pairs


def detect_content(
    fake: np.ndarray, unseen: ImageSubset, drawn: bool, cache: Path, progress: Callable
) -> tuple[dict, dict]:
    """By whom it was told, and what: in how many pictures a detector finds a face, or what drawn faces are made of.

    `progress(title)` is as for `attributes.classifier`, which is trained now if `cache` has none.
    """
    from gan.metrics import avatar_classifier, feature_extractors  # both bring TensorFlow

    if not drawn:
        detect, fake, real = (
            feature_extractors.load_face_detector(),
            fake[:DETECTED],
            unseen.subsample(DETECTED // 2).load(),
        )
        by = {
            "detector": "mtcnn 1.0.0",
            "size": feature_extractors.DETECTION_SIZE,
            "surer than": feature_extractors.MIN_CONFIDENCE,
            "samples": len(fake),
        }
        return by, {"face_rate": float(detect(fake).mean()), "face_rate_real": float(detect(real).mean())}
    judge = avatar_classifier.load_classifier(fake.shape[1], cache, progress)
    told, known = judge.tell(fake), judge.tell(unseen.load())
    shares = {"samples": avatar_classifier.histograms(told), "data": avatar_classifier.histograms(known)}
    spread = avatar_classifier.compare_histograms(shares["samples"], shares["data"])
    return {"classifier": judge.digest}, {
        "face_rate": judge.face_rate(told),
        "face_rate_real": judge.face_rate(known),
        "mode_coverage": spread.coverage,
        "modes_missing": spread.missing,
        "attribute_distances": spread.distances,
        "attribute_shares": shares,
    }


def protocol_differences(one: dict, other: dict, path: str = "") -> list[str]:
    """In what two protocols differ, a line each."""
    lines = []
    for name in {**one, **other}:
        here, there = one.get(name), other.get(name)
        if isinstance(here, dict) and isinstance(there, dict):
            lines += protocol_differences(here, there, f"{path}{name} ")
        elif here != there:
            lines.append(f"{path}{name}: {here} and {there}")
    return lines


def format_number(value: float | None) -> str:
    """A score, or a count, in the three digits or so that a person compares."""
    if value is None:
        return "-"
    steps = [(1e9, ".2e"), (100, ",.0f"), (10, ".1f"), (1, ".2f")]
    return format(value, next((digits for least, digits in steps if abs(value) >= least), ".3f"))
