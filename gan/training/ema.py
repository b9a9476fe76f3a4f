"""A moving average of a generator brought to rest, so that it draws as sharply and as variously as what it averages.

settle(network, noise, spread(faces, mirrored=True))  # changes its batch-norm statistics and its first kernels

Averaged weights under averaged batch-norm statistics draw faces that are a little too much alike and too soft. On
CelebA that is most of what a network tells them from real ones by.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from gan.images import to_float
from models.layers import uncast

MEASURED, COMPARED = 16, 20  # batches of noise whose statistics are taken, and of samples whose variance is
TRIED = 5  # of the latter, those in which is seen how fast the variance grows with the noise
MOST = 1.2  # how far the noise is scaled, up or down: a generator that has collapsed cannot be helped


def dataset_variance(images: np.ndarray, mirrored: bool) -> float:
    """How much faces vary, uint8 (n, h, w, 3), half of them mirrored or not: the sum of their pixels' variances."""
    batches = (to_float(images[i : i + 100].astype(np.float32)) for i in range(0, len(images), 100))
    return pixel_variance(np.concatenate([faces, faces[:, :, ::-1]]) if mirrored else faces for faces in batches)


def calibrate(network: keras.Model, noise: Callable, real: float) -> None:
    """Settles a generator; `noise(i)` is its i-th batch, (n, *noise_shape), `real` the spread of the faces it learns.

    First its batch-norm statistics are measured anew, each layer's on top of those before it: Izmailov et al.,
    arXiv:1803.05407, section 3.2. Then the kernels that noise meets are scaled, which is to scale the noise, so
    that its samples vary as much as real faces do.
    """
    reestimate_batch_norm(network, noise)
    times = find_noise_scale(network, noise, real)
    for layer in network.layers:
        if hasattr(layer, "kernel") and is_noise(layer.input):
            layer.kernel.assign(layer.kernel * times)


def is_noise(tensor) -> bool:
    """Whether a symbolic tensor is a network's input, be it in another shape or precision."""
    tensor = uncast(tensor)
    maker = tensor._keras_history.operation
    reshaped = isinstance(maker, keras.layers.Flatten | keras.layers.Reshape)
    return isinstance(maker, keras.layers.InputLayer) or (reshaped and is_noise(maker.input))


def find_noise_scale(network: keras.Model, noise: Callable, real: float) -> float:
    """By what noise is to be multiplied so that samples vary by `real`: by the ratio, mended by what that comes to.

    1 where the samples hardly vary at all: such a generator cannot be helped.
    """
    draw = tf.function(lambda z: network(z, training=False), autograph=False)  # layer by layer takes longer
    batch = whiten(lambda i: noise(MEASURED + i), COMPARED)

    def made(count: int, times: float = 1.0) -> float:
        return pixel_variance(draw(times * batch(i)) for i in range(count))

    before = made(COMPARED)
    if not (real > 0 and 1e-6 * real < before < np.inf):
        return 1.0
    guess = float(np.clip(real / before, 1 / MOST, MOST))
    some, louder = made(TRIED), made(TRIED, guess)
    told = abs(guess - 1) > 0.001 and some > 0 and 0 < louder < np.inf
    power = np.log(louder / some) / np.log(guess) if told else 1.0
    return float(np.clip((real / before) ** (1 / np.clip(power, 0.5, 2.0)), 1 / MOST, MOST))


def whiten(noise: Callable, count: int) -> Callable:
    """The first `count` batches of `noise`, moved so that all in all its mean is 0 and its numbers are uncorrelated.

    What is drawn from it then varies as what is drawn from endless noise does, to within 0.4% where by chance it would
    be 1.1% (CelebA, 2,000 samples). Moment matching: Barraquand, Management Science 41 (1995). Noise of more numbers
    than a quarter of its rows stays as it is.
    """
    first = np.asarray(noise(0))
    rows, size = count * len(first), first[0].size
    if 4 * size > rows:
        return noise
    flat = np.concatenate([np.asarray(noise(i)).reshape(-1, size) for i in range(count)])
    left, sizes, right = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    white = np.sqrt(np.mean(sizes**2)) * (left @ right)
    return np.split(white.reshape(-1, *first.shape[1:]), count).__getitem__


def reestimate_batch_norm(network: keras.Model, noise: Callable) -> None:
    """Gives every batch norm the mean of its statistics over batches of noise."""
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    statistics = [variable for layer in norms for variable in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0  # leaves the statistics of the last batch alone
    look = tf.function(lambda z: network(z, training=True), autograph=False)
    seen = []
    for i in range(MEASURED if norms else 0):
        look(noise(i))
        seen.append([v.numpy() for v in statistics])
    for variable, *values in zip(statistics, *seen, strict=True):
        variable.assign(np.mean(values, axis=0))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def pixel_variance(batches) -> float:
    """The sum of the variances of all pixels' colours, over batches of faces (n, h, w, c) that come one at a time."""
    count = total = squares = 0.0
    for faces in batches:  # 4,000 faces of 128 x 128 at once would be 1.5 GB
        faces = np.asarray(faces, np.float64)
        count, total, squares = count + len(faces), total + faces.sum(axis=0), squares + (faces**2).sum(axis=0)
    return float(np.sum(squares / count - (total / count) ** 2))
