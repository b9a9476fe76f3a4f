"""95% intervals of shares, and of the difference of two."""

import math
from typing import NamedTuple

import numpy as np

Z = 1.959964  # the quantile of the normal distribution that leaves 2.5% on each side


class Interval(NamedTuple):
    """An estimate and its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({100 * self.low:.1f} to {100 * self.high:.1f}%)"


def share_interval(share: float, n: int) -> Interval:
    """Computes Wilson's interval of a share of n trials, valid for 0 and 1 too.

    Wilson, Journal of the American Statistical Association 22 (1927), p. 209.
    """
    middle, spread = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return Interval(share, max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def measure_share(found: np.ndarray) -> Interval:
    """Returns the share of trials, booleans (n,), that are true, with its interval."""
    return share_interval(float(np.mean(found)), len(found))


def subtract(one: Interval, other: Interval) -> Interval:
    """Computes the difference of two shares of independent images.

    Newcombe, Statistics in Medicine 17 (1998), method 10.
    """
    difference = one.value - other.value
    low = math.hypot(one.value - one.low, other.high - other.value)
    high = math.hypot(one.high - one.value, other.value - other.low)
    return Interval(difference, difference - low, difference + high)
