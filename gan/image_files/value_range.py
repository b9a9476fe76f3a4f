"""Value range: finds which values mean black and white in images that are not 8-bit, from all values of a data set.

counts = count_values(first) + count_values(second)
found = find_range(counts)              # ValueRange(0, 4095, "12-bit"), or None
pixels = scale_to_uint8(first, found)

A range is chosen by where all but a thousandth of the values lie, so a bright pixel, or the overshoot of a filter,
does not change what the others mean.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

OUTLIERS = 0.001  # share of the values that may lie outside a range
SLACK = 0.02  # share of a range by which values may exceed it without a visible change
MOST_CUT_OFF = 0.1  # a range is rejected where more than this share of the values exceeds it by more than `SLACK`
ROWS = 256  # rows scaled at once; a whole image could take gigabytes
BITS = (1, 8, 10, 12, 14, 16, 20, 24, 31, 32)  # of integers; cameras and scanners store fewer than the file's type has


class ValueRange(NamedTuple):
    """The values of black and white, and a name for people."""

    black: float
    white: float
    name: str


class Candidate(NamedTuple):
    """A range, and which values point to it.

    Arguments:
        least, most: limits of the values, apart from `OUTLIERS`.
        exceeded: a value that more than `OUTLIERS` of the values exceed; None: there is no such condition.
    """

    range: ValueRange
    least: float
    most: float
    exceeded: float | None = None


def make_candidate(black: int, white: int, name: str) -> Candidate:
    """Makes a candidate whose values lie between black and white."""
    return Candidate(ValueRange(black, white, name), black, white)


# In the order in which they are tried.
INTEGERS = [
    *(make_candidate(0, 2**bits - 1, f"{bits}-bit") for bits in BITS[:2]),
    Candidate(ValueRange(0, 255, "8-bit"), -16, 271),  # sharpening and resizing overshoot
    *(make_candidate(0, 2**bits - 1, f"{bits}-bit") for bits in BITS[2:]),
    *(make_candidate(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, f"signed {bits}-bit") for bits in BITS[1:]),
]
FLOATS = [
    Candidate(ValueRange(0, 1, "[0, 1]"), -0.25, 1.25),
    Candidate(ValueRange(-0.5, 0.5, "[-0.5, 0.5]"), -0.55, 0.55),
    Candidate(ValueRange(-1, 1, "[-1, 1]"), -1.25, 1.25),
    Candidate(ValueRange(0, 255, "0..255"), -16, 271, exceeded=16),  # not normalized by a mean and a deviation
    *(Candidate(ValueRange(0, 2**bits - 1, f"{bits}-bit"), -16, 2**bits, exceeded=271) for bits in BITS[2:6]),
]
# Of the negatives of images in which white is zero.
INVERTED_INTEGERS = [make_candidate(1 - 2**bits, 0, f"{bits}-bit, white is zero") for bits in BITS]
INVERTED_FLOATS = [Candidate(ValueRange(-1, 0, "[0, 1], white is zero"), -1.25, 0.25)]


def extend(limits: ValueRange) -> tuple[float, float]:
    """The limits beyond which values are cut off visibly."""
    slack = SLACK * (limits.white - limits.black)
    return limits.black - slack, limits.white + slack


# Whether values are integers -> the limits below which, and those above which, they are counted.
CANDIDATES = {True: INTEGERS + INVERTED_INTEGERS, False: FLOATS + INVERTED_FLOATS}
BELOW = {kind: {limit for c in found for limit in (c.least, extend(c.range)[0])} for kind, found in CANDIDATES.items()}
ABOVE = {
    kind: {limit for c in found for limit in (c.most, c.exceeded, extend(c.range)[1]) if limit is not None}
    for kind, found in CANDIDATES.items()
}


class ValueCounts(NamedTuple):
    """How many values there are, their extremes, and how many lie below or above each limit of the candidates."""

    integers: bool
    total: int
    low: float
    high: float
    below: Counter
    above: Counter

    def __add__(self, other: "ValueCounts") -> "ValueCounts":
        return ValueCounts(
            self.integers and other.integers, self.total + other.total, min(self.low, other.low),
            max(self.high, other.high), self.below + other.below, self.above + other.above,
        )  # fmt: skip


def count_values(values: np.ndarray) -> ValueCounts:
    """Counts values of any number type, of which there is at least one, and all are finite."""
    values = values.astype(np.float32) if values.dtype == np.float16 else values  # which ends at 65504
    low, high = float(values.min()), float(values.max())
    integers = values.dtype.kind != "f"
    below = Counter({limit: np.count_nonzero(values < limit) for limit in BELOW[integers] if low < limit})
    above = Counter({limit: np.count_nonzero(values > limit) for limit in ABOVE[integers] if high > limit})
    return ValueCounts(integers, values.size, low, high, below, above)


def find_range(counts: ValueCounts, inverted: bool = False) -> ValueRange | None:
    """Returns the first range that the values point to, or None.

    Arguments:
        inverted: whether they are the negatives of images in which white is zero.
    """
    outliers = max(1, int(OUTLIERS * counts.total))
    if inverted:
        candidates = INVERTED_INTEGERS if counts.integers else INVERTED_FLOATS
    else:
        candidates = INTEGERS if counts.integers else FLOATS
    for candidate in candidates:
        fits = counts.below[candidate.least] + counts.above[candidate.most] <= outliers
        exceeds = candidate.exceeded is None or counts.above[candidate.exceeded] > outliers
        if fits and exceeds and share_cut_off(counts, candidate.range) <= MOST_CUT_OFF:
            return candidate.range
    return None


def share_cut_off(counts: ValueCounts, limits: ValueRange) -> float:
    """The share of the values that lie visibly outside a range."""
    low, high = extend(limits)
    return (counts.below[low] + counts.above[high]) / counts.total


def scale_to_uint8(values: np.ndarray, limits: ValueRange) -> np.ndarray:
    """Converts values to uint8: black is 0, white 255; what lies outside is clipped."""
    pixels, scale = np.empty(values.shape, np.uint8), 255 / (limits.white - limits.black)
    for start in range(0, len(values), ROWS):
        scaled = (values[start : start + ROWS].astype(np.float64) - limits.black) * scale
        pixels[start : start + ROWS] = np.clip(np.round(scaled), 0, 255)
    return pixels


def describe_range(counts: ValueCounts, limits: ValueRange) -> str:
    """Describes how values are read, such as "0 to 4,095, read as 12-bit"; and how many are cut off, from 1% on."""
    digits = ",.0f" if counts.integers else ".4g"
    share = share_cut_off(counts, limits)
    clipped = f", {100 * share:.0f}% of them outside and cut off" if share >= 0.01 else ""
    return f"{counts.low:{digits}} to {counts.high:{digits}}, read as {limits.name}{clipped}"
