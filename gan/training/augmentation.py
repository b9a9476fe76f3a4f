"""Augmentations of the training images, in the input pipeline: they make more of them, and samples show them too.

    augmentation = AUGMENTATIONS["flip"]
    batch = augmentation.pipeline(batch, np.random.default_rng(seed).random(len(batch)))

To add one, write its function, a row of `AUGMENTATIONS`, and its name in gan/config.py. What the discriminator alone
sees is augmented by gan/training/discriminator_augmentation.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def mirror_half(images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Mirrors each of the images, uint8 (n, h, w, c), whose number is below 1/2, in place."""
    # In NumPy, amid the input pipeline: TensorFlow's `where` in the train step takes a core for 3 ms.
    mirrored = numbers < 0.5
    images[mirrored] = images[mirrored, :, ::-1]
    return images


def mirror_half_on_device(images, numbers):
    """The same of tensors, in which `numbers` are float64, too."""
    import tensorflow as tf

    return tf.where((numbers < 0.5)[:, None, None, None], tf.reverse(images, axis=[2]), images)


class Augmentation(NamedTuple):
    """What an augmentation does.

    `pipeline` changes real images, uint8 (n, h, w, c), in the input pipeline, given a random number of [0, 1) for each;
    None does nothing. `on_device` does the same to tensors, for images that are kept on a GPU. `mirrors` says that
    mirrored images count as training images, for the search for copies.
    """

    pipeline: Callable | None = None
    on_device: Callable | None = None
    mirrors: bool = False


AUGMENTATIONS = {"none": Augmentation(), "flip": Augmentation(mirror_half, mirror_half_on_device, mirrors=True)}
