"""Thumbnails of images, by which copies are found: lighter, noisier, smoother or a little moved.

thumbs = make_thumbnails(images)  # uint8 (n, h, h, 3) -> float32 (n, 192)
"""

import numpy as np

SIDE = 8


def make_thumbnails(images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Computes thumbnails, float32 (n, 192): 8 x 8 means of each color, less the image's mean.

    Without the mean, a copy that is a little lighter is a copy.

    Arguments:
        images: uint8 (n, h, h, 3).
        rows: the numbers of the images that are used; None: all.
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
