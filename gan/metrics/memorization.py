"""Memorization: whether samples copy the training set, by their distances to it beside those of held-out images.

    fake, training, held_out = map(make_thumbnails, (samples, training_images, held_out_images))
    distances, indices = nearest_thumbnails(fake, training)
    result = measure_memorization(
        distances, nearest_thumbnails(fake, held_out)[0],
        nearest_thumbnails(held_out, training)[0], nearest_thumbnails(held_out, held_out, skip_self=True)[0],
    )
    result.ratio, result.copying  # 1.01, False

The distance is one of thumbnails, as the feature extractors hardly tell one face from another. It finds copies that are
lighter, noisier or mirrored, and of photographs also copies that are smoother or moved by a pixel. It does not find
such copies of avatars, many of which differ in a mouth alone.
"""

from typing import NamedTuple

import numpy as np

from gan.metrics.distances import nearest_neighbors
from gan.metrics.intervals import measure_share, share_interval
from gan.thumbnails import SIDE

RARE = 0.01  # the share of held-out images, twins apart, whose ratio is below the threshold
TOLERATED = 0.03  # a share of samples below the threshold that is no sign of copying
LARGEST = 1e9  # stands for x / 0
RESAMPLES = 1000


def nearest_thumbnails(
    thumbs: np.ndarray, others: np.ndarray, *, flip: bool = True, skip_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest of `others` (m, 192) for each thumbnail (n, 192) and, with `flip`, for its mirror image.

    Returns:
        The distances, float64 (n,), the smaller of the two with `flip`, and the numbers of the nearest, int (n,).
    """
    distances, indices = nearest_neighbors(thumbs, others, skip_self)
    if flip:
        mirrored = thumbs.reshape(-1, SIDE, SIDE, 3)[:, :, ::-1].reshape(thumbs.shape)
        mirrored_distances, mirrored_indices = nearest_neighbors(mirrored, others, skip_self)
        nearer = mirrored_distances < distances
        distances = np.where(nearer, mirrored_distances, distances)
        indices = np.where(nearer, mirrored_indices, indices)
    return distances, indices


class MemorizationResult(NamedTuple):
    """A ratio of distances and a share of samples, each with its 95% interval, and whether samples are copies."""

    ratio: float  # 1: samples are as near to training images as held-out images are; 0: copies
    low: float
    high: float
    share: float  # of samples whose ratio is lower than that of 1 - expected of the held-out images
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
    """Measures whether samples copy the training set.

    The ratio of an image is its distance to the training set over that to the held-out set. The ratio of all samples
    is their median over that of held-out images, so that it does not depend on how much larger the training set is.
    A held-out image that is in the training set too (distance 0) does not count for the threshold of what is too near,
    but such twins are expected among samples as well.

    Arguments:
        sample_train: distances of samples to the nearest training image, (n,).
        sample_held: distances of samples to the nearest held-out image, (n,).
        held_train: distances of held-out images to the nearest training image, (m,).
        held_held: distances of held-out images to the nearest other held-out image, (m,).
        seed: of the resamples.
        resamples: how many resamples the interval of the ratio comes from; 0: it is NaN.
    """
    twins = held_train == 0 if (held_train > 0).any() else np.zeros(len(held_train), bool)
    samples, held_out = _quotient(sample_train, sample_held), _quotient(held_train[~twins], held_held[~twins])
    generator = np.random.default_rng(seed)
    medians = [  # of both sides: few held-out images make the ratio as uncertain as few samples
        [np.median(generator.choice(side, len(side))) for side in (samples, held_out)] for _ in range(resamples)
    ]
    low, high = np.quantile(_quotient(*np.transpose(medians)), [0.025, 0.975]) if medians else (np.nan, np.nan)

    # Fewer than 99 images have no quantile of 1%: of further images, 1 / (m + 1) are below the lowest of m. Weibull's
    # quantile is the definition below which exactly the stated share of further images is expected.
    rare = max(RARE, 1 / (len(held_out) + 1))
    threshold = np.quantile(held_out, rare, method="weibull")
    expected = float(twins.mean() + (1 - twins.mean()) * rare)
    near = measure_share(samples < threshold)
    # The threshold itself is uncertain: with fewer than 300 held-out images, more than 3% may be below it by chance.
    tolerated = max(TOLERATED, share_interval(expected, len(twins)).high)
    return MemorizationResult(
        ratio=float(_quotient(np.median(samples), np.median(held_out))),
        low=float(low),
        high=float(high),
        share=near.value,
        share_low=near.low,
        share_high=near.high,
        expected=expected,
        copying=near.low > tolerated,
    )


def _quotient(a, b) -> np.ndarray:
    """Divides distances; at most 1e9, and 0 / 0 is 1, as both are equally near."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return np.divide(a, b, out=np.where(a > 0, LARGEST, 1.0), where=b > a / LARGEST)
