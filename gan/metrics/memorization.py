"""Whether samples copy the training set: their distances to it, beside those of faces that it never held.

found = memorisation(near(fake, train), near(fake, held), near(held, train), near(held, held, skip_self=True))

The distance is one of thumbnails: the networks that come with packages know what a face is better than which one it is.
It tells copies that are lighter, noisier or mirrored; of photographs also those that are smoother or moved by a pixel,
but not of drawn faces, many of which are the same but for a mouth.
"""

from typing import NamedTuple

import numpy as np

from gan.metrics.distances import nearest_neighbors

SIDE = 8  # of a thumbnail
RARE = 0.01  # the share of unseen faces, twins apart, that lie nearer to a training face than the threshold
TOLERATED = 0.03  # a share of samples below the threshold that is no cause for alarm
LARGEST = 1e9  # stands for x / 0
RESAMPLES = 1000
Z = 1.959964  # of a two-sided 95% interval


def thumbnails(images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """uint8 (n, h, h, 3), or those numbered in `rows` -> float32 (n, 192): 8 x 8 means of each colour.

    Less each image's mean, so that a copy that is a little lighter is a copy.
    """
    rows, size = np.arange(len(images)) if rows is None else rows, images.shape[1]
    edges = np.linspace(0, size, SIDE + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    means = np.maximum(overlap, 0).astype(np.float32) * SIDE / size  # (8, h): which pixels a cell is the mean of
    found = np.empty((len(rows), SIDE * SIDE * 3), np.float32)
    for i in range(0, len(rows), 1000):
        some = np.asarray(images[rows[i : i + 1000]], np.float32)
        small = np.tensordot(np.tensordot(some, means, (1, 1)), means, (1, 1)).transpose(0, 2, 3, 1)  # (n, 8, 8, 3)
        found[i : i + 1000] = (small - small.mean(axis=(1, 2, 3), keepdims=True)).reshape(len(some), -1)
    return found


def nearest_thumbnails(
    thumbs: np.ndarray, others: np.ndarray, *, flip: bool = True, skip_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of thumbnails (n, 192) to the nearest of others, and which that is; of mirrored ones too if `flip`."""
    distances, indices = nearest_neighbors(thumbs, others, skip_self)
    if flip:
        mirrored = thumbs.reshape(-1, SIDE, SIDE, 3)[:, :, ::-1].reshape(thumbs.shape)
        mirrored_distances, mirrored_indices = nearest_neighbors(mirrored, others, skip_self)
        nearer = mirrored_distances < distances
        distances, indices = (
            np.where(nearer, mirrored_distances, distances),
            np.where(nearer, mirrored_indices, indices),
        )
    return distances, indices


class MemorizationResult(NamedTuple):
    """A distance ratio and a share of samples, each with its 95% interval, and what follows from the share."""

    ratio: float  # 1: as near to the training faces as unseen real faces are; 0: copies
    low: float
    high: float
    share: float  # of samples nearer to a training face than 1 - expected of unseen faces are
    share_low: float
    share_high: float
    expected: float  # that share where nothing is copied
    copying: bool


def measure_memorization(
    sample_train: np.ndarray,
    sample_held: np.ndarray,
    held_train: np.ndarray,
    held_held: np.ndarray,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> MemorizationResult:
    """Nearest distances of samples to training and held-out faces, and of held-out faces to training and other
    held-out ones, (n,), (n,), (m,), (m,) -> Memorisation. Held-out faces that lie in the training set too (distance 0)
    do not decide how near is too near, but such twins are to be expected among samples as well.

    A face's ratio is its distance to the training set over that to the held-out set. The ratio of samples is their
    median over that of held-out faces, which takes out that the training set is the larger and so the nearer. Its
    interval is of so many `resamples`; of none there is none, NaN.
    """
    twins = held_train == 0 if (held_train > 0).any() else np.zeros(len(held_train), bool)
    samples, unseen = _quotient(sample_train, sample_held), _quotient(held_train[~twins], held_held[~twins])
    generator = np.random.default_rng(seed)
    medians = [  # both sides are samples: few held-out faces make the ratio as uncertain as few made ones
        [np.median(generator.choice(side, len(side))) for side in (samples, unseen)] for _ in range(resamples)
    ]
    low, high = np.quantile(_quotient(*np.transpose(medians)), [0.025, 0.975]) if medians else (np.nan, np.nan)

    # Fewer than 99 faces have no quantile of 1%: the nearest of m is passed by 1 / (m + 1) of faces like it. This
    # definition of a quantile is the one that new faces fall below exactly as often as it says.
    rare = max(RARE, 1 / (len(unseen) + 1))
    threshold = np.quantile(unseen, rare, method="weibull")
    expected = float(twins.mean() + (1 - twins.mean()) * rare)
    share = float(np.mean(samples < threshold))
    share_low, share_high = wilson_interval(share, len(samples))
    # The threshold itself is uncertain: with fewer than 300 held-out faces, more than 3% may pass it by chance.
    alarm = max(TOLERATED, wilson_interval(expected, len(twins))[1])
    return MemorizationResult(
        ratio=float(_quotient(np.median(samples), np.median(unseen))),
        low=float(low),
        high=float(high),
        share=share,
        share_low=share_low,
        share_high=share_high,
        expected=expected,
        copying=share_low > alarm,
    )


def describe(result: MemorizationResult) -> str:
    """What was found, for a person."""
    finding = "copying" if result.copying else "no sign of copying"
    return (
        f"{finding}: {result.share:.1%} of samples are closer to a training face than "
        f"{1 - result.expected:.0%} of unseen faces are ({result.expected:.0%} expected)"
    )


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share seen in n trials; sound for shares of 0 and 1 too. JASA 22 (1927), p. 209."""
    centre = share + Z**2 / (2 * n)
    half = Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return max(float((centre - half) / scale), 0.0), min(float((centre + half) / scale), 1.0)


def _quotient(a, b) -> np.ndarray:
    """a / b of distances, at most 1e9; 0 / 0 is 1, as both are equally near."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return np.divide(a, b, out=np.where(a > 0, LARGEST, 1.0), where=b > a / LARGEST)
