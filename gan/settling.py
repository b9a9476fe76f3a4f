"""A moving average of a generator brought to rest, so that it draws as sharply and as variously as what it averages.

settle(network, noise, spread(faces, mirrored=True))  # changes its batch-norm statistics and its first kernels

Averaged weights under averaged batch-norm statistics draw faces that are a little too much alike and too soft. On
CelebA that is most of what a network tells them from real ones by.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from gan.images import to_unit

MEASURED, COMPARED = 16, 10  # batches of noise whose statistics are taken, and of samples whose variance is
MOST = 1.2  # how far the noise is scaled, up or down: a generator that has collapsed cannot be helped


def spread(images: np.ndarray, mirrored: bool) -> float:
    """How much faces vary, uint8 (n, h, w, 3), half of them mirrored or not: the sum of their pixels' variances."""
    total = 0.0
    for rows in images.swapaxes(0, 1):  # a row of pixels at a time: 4,000 faces at once would be 5 GB at 128 x 128
        rows = np.concatenate([rows, rows[:, ::-1]]) if mirrored else rows
        total += variation(to_unit(rows.astype(np.float32)))
    return total


def settle(network: keras.Model, noise: Callable, real: float) -> None:
    """Settles a generator; `noise(i)` is its i-th batch, (n, *noise_shape), `real` the spread of the faces it learns.

    First its batch-norm statistics are measured anew, each layer's on top of those before it: Izmailov et al.,
    arXiv:1803.05407, section 3.2. Then the kernels that noise meets are scaled, which is to scale the noise, so
    that its samples vary as much as real faces do.
    """
    measure(network, noise)
    times = scale(network, noise, real)
    for layer in network.layers:
        if hasattr(layer, "kernel") and layer.input is network.inputs[0]:
            layer.kernel.assign(layer.kernel * times)


def scale(network: keras.Model, noise: Callable, real: float) -> float:
    """By what noise is to be multiplied so that samples vary by `real`: by the ratio, mended by what that comes to."""

    draw = tf.function(lambda noise: network(noise, training=False), autograph=False)  # layer by layer takes longer

    def made(times: float) -> float:
        numbers = range(MEASURED, MEASURED + COMPARED)
        return variation(np.concatenate([draw(tf.convert_to_tensor(times * noise(i))) for i in numbers]))

    before = made(1.0)
    if not (before * real > 0 and np.isfinite(before)):
        return 1.0
    guess = float(np.clip(real / before, 1 / MOST, MOST))
    power = np.log(made(guess) / before) / np.log(guess) if abs(guess - 1) > 0.001 else 1.0
    return float(np.clip((real / before) ** (1 / np.clip(power, 0.5, 2.0)), 1 / MOST, MOST))


def measure(network: keras.Model, noise: Callable) -> None:
    """Gives every batch norm the mean of its statistics over batches of noise."""
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    statistics = [variable for layer in norms for variable in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0  # leaves the statistics of the last batch alone
    look = tf.function(lambda noise: network(noise, training=True), autograph=False)
    seen = []
    for i in range(MEASURED if norms else 0):
        look(tf.convert_to_tensor(noise(i)))
        seen.append([v.numpy() for v in statistics])
    for variable, values in zip(statistics, zip(*seen, strict=True), strict=True):
        variable.assign(np.mean(values, axis=0))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def variation(faces: np.ndarray) -> float:
    """The sum of the variances of all pixels' colours."""
    return float(faces.var(axis=0, dtype=np.float64).sum())
