"""Augmentations: random changes of the images that the discriminator sees.

    augmentation = AUGMENTATIONS["flip"]
    batch = augmentation.pipeline(batch, np.random.default_rng(seed))

To add one, write its function, a row of `AUGMENTATIONS`, and its name in gan/config.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def mirror_half(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrors each of the images, uint8 (n, h, w, c), with probability 1/2, in place."""
    # In NumPy, amid the input pipeline: TensorFlow's `where` in the train step takes a core for 3 ms.
    mirrored = rng.random(len(images)) < 0.5
    images[mirrored] = images[mirrored, :, ::-1]
    return images


class Augmentation(NamedTuple):
    """What an augmentation does, and where.

    `pipeline` changes real images, uint8 (n, h, w, c), in the input pipeline, given a NumPy generator.
    `differentiable` changes real and fake images alike, float32 (n, h, w, c) in [-1, 1], within the train step, given
    a seed int64 (2,): arXiv:2006.10738. Either is None where there is nothing to do. `mirrors` says that mirrored
    images count as training images, for the search for copies.
    """

    pipeline: Callable | None = None
    differentiable: Callable | None = None
    mirrors: bool = False


AUGMENTATIONS = {"none": Augmentation(), "flip": Augmentation(pipeline=mirror_half, mirrors=True)}
