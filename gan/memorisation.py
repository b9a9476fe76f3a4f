"""Whether samples copy the training set: their distances to it, beside those of faces that it never held.

memorisation(sample_train, sample_held, held_train, held_held), each from `gan.metrics.nearest`. Faces that lie in
both sets should be left out first: they make real faces look copied, and copies usual.
"""

from typing import NamedTuple

import numpy as np

RARE = 0.01  # the share of unseen faces that lie nearer to a training face than the threshold
TOLERATED = 0.03  # a share of samples below the threshold that is no cause for alarm
LARGEST = 1e9  # stands for x / 0
RESAMPLES = 1000
Z = 1.959964  # of a two-sided 95% interval


class Memorisation(NamedTuple):
    """A distance ratio and a share of samples, each with its 95% interval, and what follows from the share."""

    ratio: float  # 1: as near to the training faces as unseen real faces are; 0: copies
    low: float
    high: float
    share: float  # of samples nearer to a training face than 1 - expected of unseen faces are
    share_low: float
    share_high: float
    expected: float  # that share where nothing is copied
    copying: bool


def memorisation(
    sample_train: np.ndarray, sample_held: np.ndarray, held_train: np.ndarray, held_held: np.ndarray, seed: int = 0
) -> Memorisation:
    """Nearest distances of samples to training and held-out faces, and of held-out faces to training and other
    held-out ones, (n,), (n,), (m,), (m,) -> Memorisation.

    A face's ratio is its distance to the training set over that to the held-out set. The ratio of samples is their
    median over that of held-out faces, which takes out that the training set is the larger and so the nearer.
    """
    samples, unseen = _quotient(sample_train, sample_held), _quotient(held_train, held_held)
    generator = np.random.default_rng(seed)
    medians = [np.median(generator.choice(samples, len(samples))) for _ in range(RESAMPLES)]
    usual = np.median(unseen)
    low, high = _quotient(np.quantile(medians, [0.025, 0.975]), usual)

    # Fewer than 99 faces have no quantile of 1%: the nearest of m is passed by 1 / (m + 1) of faces like it. This
    # definition of a quantile is the one that new faces fall below exactly as often as it says.
    expected = max(RARE, 1 / (len(unseen) + 1))
    threshold = np.quantile(unseen, expected, method="weibull")
    share = float(np.mean(samples < threshold))
    share_low, share_high = wilson(share, len(samples))
    # The threshold itself is uncertain: with fewer than 300 held-out faces, more than 3% may pass it by chance.
    alarm = max(TOLERATED, wilson(expected, len(unseen))[1])
    return Memorisation(
        ratio=float(_quotient(np.median(samples), usual)),
        low=float(low),
        high=float(high),
        share=share,
        share_low=share_low,
        share_high=share_high,
        expected=expected,
        copying=share_low > alarm,
    )


def in_words(result: Memorisation) -> str:
    """What was found, for a person."""
    finding = "copying" if result.copying else "no sign of copying"
    return (
        f"{finding}: {result.share:.1%} of samples are closer to a training face than "
        f"{1 - result.expected:.0%} of unseen faces are ({result.expected:.0%} expected)"
    )


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share seen in n trials; sound for shares of 0 and 1 too. JASA 22 (1927), p. 209."""
    centre = share + Z**2 / (2 * n)
    half = Z * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return max(float((centre - half) / scale), 0.0), min(float((centre + half) / scale), 1.0)


def _quotient(a, b) -> np.ndarray:
    """a / b of distances, at most 1e9; 0 / 0 is 1, as both are equally near."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return np.divide(a, b, out=np.where(a > 0, LARGEST, 1.0), where=b > a / LARGEST)
