"""Sides: which images are held out together, because they are alike.

sides = choose_sides(digests, copies=np.array([[7, 3]]), groups=["film, part 0", "film, part 0", None, ...])
"""

import hashlib
from collections.abc import Sequence

import numpy as np


def choose_sides(digests: np.ndarray, copies: np.ndarray, groups: Sequence[str | None] | None = None) -> np.ndarray:
    """Chooses the number of each image that decides its side: one for all images that are alike, else its digest.

    Were images that are alike on both sides, scores would reward a generator that copies. The number is a hash of the
    least of their digests: the least itself would nearly always be below the share that is held out.

    Arguments:
        digests: uint64 (n,), of the content of each image.
        copies: int (k, 2), the number of an image and that of an earlier one with the same pixels.
        groups: the name of the group that an image is in, None where it is in none; None: no image is in one.

    Returns:
        uint64 (n,).
    """
    digests = digests.astype(np.uint64)
    parts = number_alike(len(digests), copies, groups)
    least, most = (spread(digests, parts, by) for by in (np.minimum, np.maximum))
    sides = digests.copy()
    differ = np.flatnonzero(least < most)
    values, numbers = np.unique(least[differ], return_inverse=True)
    hashes = [hashlib.blake2b(value.to_bytes(8, "little"), digest_size=8).digest() for value in values.tolist()]
    sides[differ] = np.frombuffer(b"".join(hashes), ">u8").astype(np.uint64)[numbers]
    return sides


def number_alike(count: int, copies: np.ndarray, groups: Sequence[str | None] | None) -> list[np.ndarray]:
    """Numbers the images that are alike, once by copies and once by groups: int64 (count,), the first of them.

    Copies in two groups do not count, as black frames of a film would join all its parts.
    """
    parts = []
    if groups is not None:
        copies = np.array([pair for pair in copies.tolist() if None in (groups[pair[0]], groups[pair[1]])], np.int64)
    if len(copies):
        parts.append(np.arange(count))
        parts[0][copies[:, 0]] = copies[:, 1]
    if groups is not None:
        first = {}
        parts.append(np.array([i if each is None else first.setdefault(each, i) for i, each in enumerate(groups)]))
    return parts


def spread(values: np.ndarray, parts: list[np.ndarray], by: np.ufunc) -> np.ndarray:
    """Gives images that are alike, also through others, the least or the greatest of their values."""
    while True:
        before = values
        for part in parts:
            best = values.copy()
            by.at(best, part, values)
            values = best[part]
        if np.array_equal(before, values):
            return values
