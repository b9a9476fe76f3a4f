"""Batches from images that stay in the memory of a GPU: only their numbers are sent there, a few bytes an image.

    batches = device_batches(images, 64, rows=rows, seed=0, distribution=distribution)

The batches are those of `data.batches`, to the bit: the same images in the same order, mirrored alike.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

import data
from gan.images import to_float
from gan.labels import Labels
from gan.training.augmentation import Augmentation
from gan.training.distribution import Distribution

# The float of each uint8, as NumPy computes it: TensorFlow would multiply by the reciprocal, which differs in the last
# digit.
FLOATS = to_float(np.arange(256, dtype=np.float32))


def device_batches(
    images: np.ndarray,
    batch_size: int,
    *,
    rows: np.ndarray,
    augmentation: Augmentation,
    distribution: Distribution,
    places: np.ndarray,
    labels: Labels | None = None,
    seed: int = 0,
    start: int = 0,
) -> Iterator:
    """Yields endless shuffled batches (images, labels), for `DCGAN.train_step`.

    Arguments:
        images: uint8 (n, h, w, 3), which may be on disk; those of `rows` are copied to each device.
        augmentation: what is done to each image, on the device.
        distribution: whose replicas have a copy each.
        batch_size, places, labels, seed, start: as for `data.batches`.
    """
    strategy, shape = distribution.strategy, images.shape[1:]
    used, place_of = np.unique(rows, return_inverse=True)  # a row may be repeated
    packed = pack(images[used])
    encoded = labels.encode(labels.codes[used]) if labels else np.zeros((len(used), 0), np.float32)
    faces = distribution.make_on_devices(lambda i: tf.constant(packed))
    their_labels = distribution.make_on_devices(lambda i: tf.constant(encoded))

    @tf.function(autograph=False)
    def gather(faces, their_labels, numbers, chances):
        def one_replica(faces, their_labels, numbers, chances):
            batch = unpack(tf.gather(faces, numbers), shape)
            if augmentation.on_device:
                batch = augmentation.on_device(batch, chances)
            return batch, tf.gather(their_labels, numbers)

        return strategy.run(one_replica, args=(faces, their_labels, numbers, chances))

    i = start
    while True:
        numbers = place_of[data.order(seed, i * batch_size, batch_size, len(rows))[places]]
        chances = np.random.default_rng([seed, i, 1]).random(batch_size)[places]
        yield gather(faces, their_labels, distribution.split(numbers), distribution.split(chances))
        i += 1


def pack(images: np.ndarray) -> np.ndarray:
    """Images as rows of int64, eight bytes each, with zeros at the end of a row: int64 (n, k).

    TensorFlow gathers int64 on a GPU. It has no such kernel for uint8, and would copy all images to the CPU and back.
    """
    size = images[0].size
    rows = np.zeros((len(images), -(-size // 8) * 8), np.uint8)
    rows[:, :size] = images.reshape(len(images), -1)
    return rows.view(np.int64)


def unpack(rows, shape: tuple[int, int, int]):
    """Inverts `pack`, and scales: float32 (n, h, w, c) in [-1, 1]."""
    values = tf.reshape(tf.bitcast(rows, tf.uint8), (tf.shape(rows)[0], -1))
    values = tf.gather(FLOATS, tf.cast(values, tf.int32))[:, : np.prod(shape)]
    return tf.reshape(values, (-1, *shape))
