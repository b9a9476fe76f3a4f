"""The road of the real faces: found once, decoded once into a cache, then gathered into batches for ever.

faces = load("photos.zip", 64)
for real in batches(faces.images, 128, seed=1): ...
"""

import functools
import hashlib
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import platformdirs

from gan import images, progress
from gan.datasets import Request, cache, open_source
from gan.errors import RunError, UsageError

SIZES = range(16, 129, 4)
MOST_UNREADABLE = 0.05
FEWEST_HELD = 20  # unseen faces that a score can be taken against
PIECE = 32  # rows gathered before their pages are handed back


@dataclass(frozen=True)
class Faces:
    """Decoded faces, uint8 (n, h, w, 3) on disk, and what became of the rest.

    `skipped` is (name, reason): first the unreadable, then the files passed over. `attributes` tells of the
    drawn avatars what is in each, and of other faces nothing. `digests` uint64 (n,) are of each file's content.
    """

    images: np.ndarray
    report: dict
    skipped: list[tuple[str, str]]
    attributes: dict[str, list[str]] = field(default_factory=dict)
    digests: np.ndarray = field(default_factory=lambda: np.zeros(0, ">u8"))

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of what is in the files, in their order, wherever they lie and whenever they came."""
        return hashlib.blake2b(self.digests.tobytes(), digest_size=8).hexdigest()

    @property
    def title(self) -> str:
        """How many they are, of what, and their digest: what a run remembers that it was trained on."""
        return f"{self.report['used']:,} of {self.report['source']} ({self.digest})"

    def split(self, holdout: float) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the faces to train on, and of the `holdout` share that never trains; each in order.

        A face's own content decides, so a face is on the same side on every machine, whatever lies beside it, and
        so are its copies. Where fewer than `FEWEST_HELD` are to be expected, none is held out; nor where nearly all
        are copies of one, so that one side would have none.
        """
        share = holdout if holdout * len(self.images) >= FEWEST_HELD else 0.0
        held = self.digests < np.uint64(int(share * 2**64)) if share else np.zeros(len(self.images), bool)
        if held.all() or len(np.unique(self.digests[held])) < 2:  # distances need two
            held[:] = False
        return np.flatnonzero(~held), np.flatnonzero(held)


def load(
    source: str,
    image_size: int,
    *,
    limit: int = 0,
    crop: int = 0,
    seed: int = 0,
    cache_dir: str | os.PathLike | None = None,
    allow_bad: bool = False,
) -> Faces:
    """Opens `source` (see gan/datasets/sources.py) and decodes its faces to `image_size`, once: then from the cache.

    `limit` is how many images to use, 0 = all (of the drawn avatars: 10,000); `crop` as in `images.square`.
    Raises `UsageError`, and `RunError` when more than 5% cannot be read, unless `allow_bad`.
    """
    if image_size not in SIZES:
        raise UsageError(f"--image-size {image_size}: give a multiple of 4 from 16 to 128.")
    if limit < 0 or crop < 0:
        raise UsageError(f"--limit {limit} --crop {crop}: neither can be negative; 0 means all, and automatic.")
    folder = Path(cache_dir or platformdirs.user_cache_dir("dcgan-faces"))
    opened = open_source(Request(source, image_size, limit, seed, folder, progress.track_task))
    path = folder / f"{cache.key(opened.identity, image_size, limit, crop)}.npy"
    if not cache.is_whole(path):
        cache.build(path, opened, image_size, crop=crop, limit=limit, progress=progress.track_task)
    pixels, report, skipped, attributes, digests = cache.read(path)
    # A copy may have a new name, and other files beside the images: they are no part of what the cache is made from.
    counts = report["skipped"] | {"passed_over": len(opened.passed_over)}
    report |= {"source": opened.title, "skipped": counts}
    faces = Faces(pixels, report, skipped[: counts["unreadable"]] + opened.passed_over, attributes, digests)
    _require_readable(faces, allow_bad)
    return faces


def describe(faces: Faces) -> list[str]:
    """What a person should know of the data before training, in a few plain lines."""
    report, skipped = faces.report, faces.report["skipped"]
    found, used, size = report["found"], report["used"], report["size"]
    lines = [
        f"{found:,} images found in {report['source']}, {skipped['unreadable']:,} unreadable, "
        f"{skipped['passed_over']:,} other files passed over"
    ]
    if skipped["unreadable"]:
        lines.append(f"unreadable: {cache.first_few(faces.skipped[: skipped['unreadable']])}")
    if used + skipped["unreadable"] < found:
        lines.append(f"{used:,} of them used, the first in order of name")
    sizes = _several(report["sizes"], report["distinct_sizes"])
    modes = _several(report["modes"], len(report["modes"]))
    return [*lines, f"{sizes} {modes}, {report['crop']}, resized to {size}x{size}"]


def _several(counts: dict[str, int], distinct: int) -> str:
    """The one value that all have, or the commonest with how many have them."""
    if distinct == 1:
        return next(iter(counts))
    words = ", ".join(f"{value} ({count:,})" for value, count in list(counts.items())[:3])
    return f"{words}, {distinct - 3} more" if distinct > 3 else words


def order(seed: int, start: int, count: int, n: int) -> np.ndarray:
    """Which of `n` images are the samples number start .. start + count, int64 (count,).

    Samples are an endless row of passes, each its own permutation of all images, so a batch may cross from
    one pass to the next and none is ever dropped.
    """
    samples = np.arange(start, start + count)
    passes = range(start // n, (start + count - 1) // n + 1)
    return np.concatenate([_pass(seed, p, n)[samples[samples // n == p] % n] for p in passes])


@functools.lru_cache(maxsize=2)  # a batch needs one pass, or two at a border
def _pass(seed: int, number: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).permutation(n)


def batches(
    real: np.ndarray,
    batch_size: int,
    *,
    rows: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    seed: int = 0,
    start: int = 0,
    augment: Callable | None = None,
):
    """Returns an endless tf.data.Dataset of shuffled batches (images, labels).

    Batch number i depends on (seed, i) alone, so `start` continues exactly where an earlier run stopped, at once.

    Arguments:
        real: uint8 images (n, h, w, 3), which may be on disk.
        rows: the numbers of the images to use; None: all.
        labels: float32 (n, k), a row an image; None: batches have labels (batch_size, 0).
        augment: a function (uint8 images, NumPy generator) -> uint8 images, applied to every batch.

    Returns:
        A dataset of float32 images (batch_size, h, w, 3) in [-1, 1] and float32 labels (batch_size, k).
    """
    import tensorflow as tf  # takes seconds, which a mistyped --data should not wait for

    labels = np.zeros((len(real), 0), np.float32) if labels is None else labels
    gather = _gatherer(real, np.arange(len(real)) if rows is None else rows, batch_size, seed)

    def load(i: int) -> tuple[np.ndarray, np.ndarray]:
        batch, chosen = gather(int(i))
        if augment:
            batch = augment(batch, np.random.default_rng([seed, int(i), 1]))
        return images.to_float(batch.astype(np.float32)), labels[chosen]  # in NumPy, which is faster than TensorFlow

    def batch(i):
        loaded, chosen = tf.numpy_function(load, [i], (tf.float32, tf.float32), stateful=False)
        return (
            tf.ensure_shape(loaded, (batch_size, *real.shape[1:])),
            tf.ensure_shape(chosen, (batch_size, labels.shape[1])),
        )

    numbers = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    return numbers.map(batch, num_parallel_calls=2, deterministic=True).prefetch(2)


def _gatherer(real: np.ndarray, rows: np.ndarray, batch_size: int, seed: int) -> Callable:
    """A function from the number of a batch to a copy of its images, and their numbers.

    It leaves no pages of the cache in memory.

    A page of a mapped file counts as this program's memory, and one row may bring two megabytes of its
    neighbours with it; handed back, they stay in the system's file cache and cost a microsecond to see again.
    """
    pixels, mapping = np.asarray(real), getattr(real, "_mmap", None)
    hand_back = getattr(mapping, "madvise", None) if hasattr(mmap, "MADV_DONTNEED") else None  # not on Windows

    def gather(i: int) -> tuple[np.ndarray, np.ndarray]:
        batch = np.empty((batch_size, *pixels.shape[1:]), np.uint8)
        numbers = rows[order(seed, i * batch_size, batch_size, len(rows))]
        for piece in range(0, batch_size, PIECE):
            batch[piece : piece + PIECE] = pixels[numbers[piece : piece + PIECE]]
            if hand_back:
                hand_back(mmap.MADV_DONTNEED)
        return batch, numbers

    return gather


def _require_readable(faces: Faces, allow_bad: bool) -> None:
    bad, used = faces.report["skipped"]["unreadable"], faces.report["used"]
    if bad > MOST_UNREADABLE * (bad + used) and not allow_bad:
        raise RunError(
            f"{bad:,} of {bad + used:,} images in {faces.report['source']} cannot be read: "
            f"{cache.first_few(faces.skipped[:bad])}. To train on the others, add --allow-bad."
        )
