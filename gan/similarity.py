"""How alike the images of one batch are: multi-scale SSIM of random pairs, for seeing a generator collapse.

similarity(fake) beside similarity(real): much above it, the generator draws fewer faces than there are.
"""

import numpy as np

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # of the scales, finest first
WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # keep quotients steady where a window is dark or flat
SMALLEST = 8  # pixels: gives 128x128 all five scales and 32x32 three
LUMA = (0.299, 0.587, 0.114)


def similarity(images: np.ndarray, pairs: int = 200, seed: int = 0) -> float:
    """Mean MS-SSIM of random pairs of different images, uint8 (n, h, w, 3), n > 1 -> 0 to 1 (all equal).

    arXiv:1610.09585, section 4.2.
    """
    generator = np.random.default_rng(seed)
    first = generator.integers(len(images), size=pairs)
    second = (first + generator.integers(1, len(images), size=pairs)) % len(images)
    return float(ms_ssim(images[first] @ LUMA, images[second] @ LUMA).mean())


def ms_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multi-scale SSIM of grey images, two float (n, h, w) in [0, 255] -> (n,). Wang et al. 2003, eq. 7.

    As many of the five scales as leave 8 pixels, their weights made to sum to 1. A negative mean contrast of a
    scale counts as 0, having no power.
    """
    scales = min(len(WEIGHTS), int(np.log2(max(min(a.shape[1:]) / SMALLEST, 1))) + 1)
    weights = WEIGHTS[:scales] / WEIGHTS[:scales].sum()
    result = np.ones(len(a))
    for weight in weights[:-1]:
        _, contrast = _compare(a, b)
        result *= np.maximum(contrast, 0) ** weight
        a, b = _halve(a), _halve(b)
    whole, _ = _compare(a, b)
    return result * np.maximum(whole, 0) ** weights[-1]


def _compare(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SSIM, and its factor of contrast and structure, each a mean over windows: (n, h, w) twice -> (n,) twice."""
    mean_a, mean_b, aa, bb, ab = map(_window_means, (a, b, a * a, b * b, a * b))
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    contrast = (2 * (ab - mean_a * mean_b) + C2) / (aa - mean_a**2 + bb - mean_b**2 + C2)
    return (luminance * contrast).mean(axis=(1, 2)), contrast.mean(axis=(1, 2))


def _window_means(images: np.ndarray) -> np.ndarray:
    """Gaussian mean of each window, (n, h, w) -> (n, windows down, windows across)."""
    for _ in range(2):  # one axis, then the other: two large products rather than n small ones
        images = np.tensordot(images, _gaussian(images.shape[1]), axes=(1, 1))
    return images


def _gaussian(side: int) -> np.ndarray:
    """The Gaussian mean of each window that lies within `side` pixels, as a matrix (windows, side).

    The window, and sigma with it, shrinks to an image that is smaller.
    """
    size = min(WINDOW, side)
    distance = np.arange(size) - (size - 1) / 2
    window = np.exp(-0.5 * (distance / (SIGMA * size / WINDOW)) ** 2)
    matrix = np.zeros((side - size + 1, side))
    for i, row in enumerate(matrix):
        row[i : i + size] = window / window.sum()
    return matrix


def _halve(images: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels, (n, h, w) -> (n, h // 2, w // 2)."""
    n, height, width = images.shape
    even = images[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
