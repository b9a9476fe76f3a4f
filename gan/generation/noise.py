"""Reproducible noise for a trained generator: a seed is an image, and there are paths between images.

    noise = sample_noise([7, 8, 9], (128,), "normal")     # float32 (3, 128): the noise of seeds 7, 8 and 9
    path = interpolation_loop(noise, 120, "normal")       # (120, 128): smoothly through all three and back

Noise is computed from the seed by whole-number functions alone, so that a web page generates the same images
(gan/export/assets/noise.js). Training samples its own noise (dcgan.py).
"""

import numpy as np

SEEDS = 2**32  # seeds are 0 to SEEDS - 1
LABEL_STREAM = 3  # of the random number that draws a seed's labels; 1 and 2 are those of its noise


def hash_uint32(x: np.ndarray) -> np.ndarray:
    """Hashes uint32 to uint32. Chris Wellons' "lowbias32", github.com/skeeto/hash-prospector."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def uniform(seeds: np.ndarray, count: int, stream: int) -> np.ndarray:
    """Computes numbers in (0, 1), float64 (n, count); each is a function of its seed, position and stream alone."""
    start = hash_uint32(hash_uint32(seeds.astype(np.uint32)) + np.uint32(stream))[:, None]
    positions = np.arange(1, count + 1, dtype=np.uint32) * np.uint32(0x9E3779B9)  # 2^32 over the golden ratio
    return (hash_uint32(start ^ hash_uint32(positions)[None]) + 0.5) / 2.0**32


def sample_noise(seeds, shape: tuple[int, ...], distribution: str, truncation: float = 1.0) -> np.ndarray:
    """Computes the noise of some seeds, float32 (n, *shape).

    Arguments:
        seeds: whole numbers from 0 to 2**32 - 1.
        shape: shape of the noise of one image.
        distribution: "normal", N(0, 1) by the Box-Muller transform (Annals of Mathematical Statistics 29, 1958), or
            "uniform", in [-1, 1].
        truncation: factor of the noise, from 1 down to 0, its mean. Images become more ordinary, and fewer are odd.
    """
    seeds, count = np.asarray(seeds), int(np.prod(shape))
    first = uniform(seeds, count, 1)
    noise = 2 * first - 1
    if distribution == "normal":
        noise = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * uniform(seeds, count, 2))
    return (truncation * noise).astype(np.float32).reshape(len(seeds), *shape)


def interpolate(start: np.ndarray, end: np.ndarray, fractions: np.ndarray, distribution: str) -> np.ndarray:
    """Interpolates between two points of noise (*shape): spherically if normal, linearly if uniform.

    Nearly all normal noise of many dimensions lies at about the same distance from 0, and a straight line would pass
    through a region without any (arXiv:1609.04468). Uniform noise fills its cube.

    Returns:
        float32 (len(fractions), *shape); fraction 0 is `start`, 1 is `end`.
    """
    fractions = np.reshape(fractions, (-1, *[1] * start.ndim))
    return (lerp if distribution == "uniform" else slerp)(start, end, fractions).astype(np.float32)


def lerp(start: np.ndarray, end: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Interpolates linearly."""
    return (1 - fractions) * start + fractions * end


def slerp(start: np.ndarray, end: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Interpolates along a great circle, and between lengths geometrically; linearly where no one circle joins both."""
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if not all(lengths):
        return lerp(start, end, fractions)
    start_direction, end_direction = start / lengths[0], end / lengths[1]
    angle = np.arccos(np.clip(np.sum(start_direction * end_direction), -1, 1))
    if np.sin(angle) < 1e-6:
        return lerp(start, end, fractions)
    direction = np.sin((1 - fractions) * angle) * start_direction + np.sin(fractions * angle) * end_direction
    return direction / np.sin(angle) * (lengths[0] ** (1 - fractions) * lengths[1] ** fractions)


def interpolation_loop(points: np.ndarray, frames: int, distribution: str) -> np.ndarray:
    """Interpolates through all points (k, *shape) and back to the first: (frames, *shape), the same for each leg.

    The path slows down at each point, so that it has no corner there and the image can be seen.
    """
    position = np.arange(frames) * len(points) / frames  # the last frame is the one before the first
    leg, fraction = position.astype(int), position % 1
    fraction = fraction * fraction * (3 - 2 * fraction)
    steps = [
        interpolate(points[i], points[(i + 1) % len(points)], fraction[leg == i], distribution)
        for i in range(len(points))
        if (leg == i).any()
    ]
    return np.concatenate(steps)


def interpolation_rows(points: np.ndarray, count: int, distribution: str) -> np.ndarray:
    """Computes `count` even steps from each point (k, *shape) to the next, cyclically: (k * count, *shape).

    Each row starts at its point and ends one step before the next.
    """
    fractions = np.arange(count) / count
    ends = np.roll(points, -1, axis=0)
    return np.concatenate([interpolate(*pair, fractions, distribution) for pair in zip(points, ends, strict=True)])


def neighbors(point: np.ndarray, others: np.ndarray, distance: float, distribution: str) -> np.ndarray:
    """Computes points near one (*shape), a fraction `distance` of the path to each of the others: (k, *shape)."""
    return np.concatenate([interpolate(point, other, np.array([distance]), distribution) for other in others])
