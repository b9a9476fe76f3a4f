"""Noise to draw faces from, once a generator is trained: a number is a face, and there are ways between faces.

noise = drawn([7, 8, 9], (128,), "normal")  # float32 (3, 128): the faces number 7, 8 and 9
path = walk(noise, 120, "normal")           # (120, 128): through all of them and back, evenly and without a corner

Training has its own noise (see dcgan.py). This one is made of whole numbers and a few functions of them, so that a
web page draws the same faces (gan/export/assets/noise.js).
"""

import numpy as np

DISTRIBUTIONS = ("normal", "uniform")


def hash_uint32(x: np.ndarray) -> np.ndarray:
    """uint32 -> uint32, all bits from all bits. Chris Wellons' "lowbias32", github.com/skeeto/hash-prospector."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def uniform(seeds: np.ndarray, count: int, stream: int) -> np.ndarray:
    """Numbers in (0, 1), float64 (n, count), each a function of its seed, its place and the stream alone."""
    start = hash_uint32(hash_uint32(seeds.astype(np.uint32)) + np.uint32(stream))[:, None]
    places = np.arange(1, count + 1, dtype=np.uint32) * np.uint32(0x9E3779B9)  # 2^32 over the golden ratio
    return (hash_uint32(start ^ hash_uint32(places)[None]) + 0.5) / 2.0**32


def sample_noise(seeds, shape: tuple[int, ...], law: str, truncation: float = 1.0) -> np.ndarray:
    """Noise of the faces with these numbers, 0 to 2**32 - 1: float32 (n, *shape), normal or uniform in [-1, 1].

    `truncation` pulls it towards its mean, which is 0: 1 not at all, 0 to the one face there. Faces become more
    ordinary, and fewer of them odd. Normal noise is by Box and Muller, Annals of Mathematical Statistics 29 (1958).
    """
    seeds, count = np.asarray(seeds), int(np.prod(shape))
    one = uniform(seeds, count, 1)
    noise = 2 * one - 1
    if law == "normal":
        noise = np.sqrt(-2 * np.log(one)) * np.cos(2 * np.pi * uniform(seeds, count, 2))
    return (truncation * noise).astype(np.float32).reshape(len(seeds), *shape)


def interpolate(one: np.ndarray, other: np.ndarray, shares: np.ndarray, law: str) -> np.ndarray:
    """Noise on the way from one to the other, (len(shares), *shape).

    Along a great circle where it is normal: nearly all normal noise of many numbers is about as far from 0, and a
    straight way would pass where there is none. arXiv:1609.04468. Uniform noise fills its cube: straight.
    """
    shares = np.reshape(shares, (-1, *[1] * one.ndim))
    straight = ((1 - shares) * one + shares * other).astype(np.float32)
    lengths = np.linalg.norm(one), np.linalg.norm(other)
    if law == "uniform" or not all(lengths):
        return straight
    here, there = one / lengths[0], other / lengths[1]
    angle = np.arccos(np.clip(np.sum(here * there), -1, 1))
    if np.sin(angle) < 1e-6:  # no circle, or many
        return straight
    direction = (np.sin((1 - shares) * angle) * here + np.sin(shares * angle) * there) / np.sin(angle)
    return (direction * (lengths[0] ** (1 - shares) * lengths[1] ** shares)).astype(np.float32)


def interpolation_loop(points: np.ndarray, frames: int, law: str) -> np.ndarray:
    """A way through all points, (k, *shape), and back to the first: (frames, *shape), an even share for each leg.

    It slows down at each point, so that it has no corner there, and the face can be seen.
    """
    position = np.arange(frames) * len(points) / frames  # the last frame is the one before the first
    leg, share = position.astype(int), position % 1
    share = share * share * (3 - 2 * share)
    steps = [
        interpolate(points[i], points[(i + 1) % len(points)], share[leg == i], law)
        for i in range(len(points))
        if (leg == i).any()
    ]
    return np.concatenate(steps)


def neighbors(point: np.ndarray, others: np.ndarray, distance: float, law: str) -> np.ndarray:
    """Points beside one, (k, *shape): a `distance` (a share) of the way to each of the others."""
    return np.concatenate([interpolate(point, other, np.array([distance]), law) for other in others])
