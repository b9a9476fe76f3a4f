"""Exponential moving average (EMA) of the generator's weights, and the calibration of the averaged generator.

    update_average(ema_generator, generator, half_life=20_000, batch_size=64, images_seen=6_400)  # after each step
    calibrate = Calibrator(network, dataset_variance(images, mirrored=True))
    calibrate(batch)  # batch(i): the i-th batch of noise; changes the network's batch-norm statistics and first kernels

Averaged weights under averaged batch-norm statistics give samples that vary too little and look soft. Calibration
makes samples as sharp and as varied as the real images.
"""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from gan.images import to_float
from models.portable import uncast

STATISTICS_BATCHES = 8  # batches of noise from which batch-norm statistics are re-estimated
VARIANCE_BATCHES = 10  # batches of samples whose variance is compared with the real images'
PROBE_BATCHES = 3  # of those, the batches that show how fast the variance grows with the noise
MAX_SCALE = 1.2  # the noise is scaled by at most this factor, up or down: a collapsed generator cannot be helped


def update_average(average: keras.Model, model: keras.Model, *, half_life: float, batch_size, images_seen) -> None:
    """Moves the averaged weights, batch-norm statistics included, towards the model's.

    The half-life is the given one, and at most a twentieth of the images seen, so that a short run has an average that
    has forgotten its start. Ramp-up: arXiv:2006.06676, appendix.

    Arguments:
        half_life: in images.
        batch_size: images of this update.
        images_seen: images of all updates so far, this one included.
    """
    batch_size, images_seen = tf.cast(batch_size, tf.float32), tf.cast(images_seen, tf.float32)
    decay = 0.5 ** (batch_size / tf.minimum(half_life, images_seen / 20))
    for averaged, weight in zip(average.weights, model.weights, strict=True):
        averaged.assign(decay * averaged + (1 - decay) * weight)


def name_average(number: int) -> str:
    """The name of an average in a checkpoint, by the number of its half-life, from 0."""
    return f"ema_generator-{number + 1}" if number else "ema_generator"


def dataset_variance(images: np.ndarray, mirrored: bool) -> float:
    """The pixel variance of images uint8 (n, h, w, 3), or of them and their mirror images."""
    batches = (to_float(images[i : i + 100].astype(np.float32)) for i in range(0, len(images), 100))
    return pixel_variance(np.concatenate([batch, batch[:, :, ::-1]]) if mirrored else batch for batch in batches)


def pixel_variance(batches) -> float:
    """The sum over all pixels and channels of the variance over images; `batches` yields arrays (n, h, w, c)."""
    *_, variance = running_variance(batches)
    return variance


def running_variance(batches) -> Iterator[float]:
    """Yields, after each batch, the pixel variance of all images so far."""
    count = total = squares = 0.0
    for images in batches:  # 4,000 images of 128 x 128 at once would take 1.5 GB
        images = np.asarray(images, np.float64)
        count, total, squares = count + len(images), total + images.sum(axis=0), squares + (images**2).sum(axis=0)
        yield float(np.sum(squares / count - (total / count) ** 2))


class Calibrator:
    """Calibrates one generator, each time it is called.

    Arguments:
        network: the generator that is changed: noise (n, ...), or a list of that and labels (n, k) -> images
            (n, h, w, c) in [-1, 1].
        variance: the pixel variance of the real images, of which the samples shall have as much.
    """

    def __init__(self, network: keras.Model, variance: float):
        self.network, self.variance = network, variance
        self.norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
        sizes = [(layer, count_noise(layer.input, network)) for layer in network.layers if hasattr(layer, "kernel")]
        self.noise_layers = [(layer, size) for layer, size in sizes if size]
        self.generate = tf.function(lambda z: network(z, training=False), autograph=False)
        self.generate_in_training_mode = tf.function(lambda z: network(z, training=True), autograph=False)
        self.whitened = None

    def __call__(self, batch: Callable) -> None:
        """Calibrates; `batch(i)` is the i-th batch that the network takes, the same at every call.

        First the batch-norm statistics are estimated anew: Izmailov et al., arXiv:1803.05407, section 3.2. Then the
        kernels that noise meets are scaled, which is to scale the noise, until the samples vary as real images do.
        """
        self.reestimate_batch_norm(batch)
        scale = self.find_noise_scale(batch)
        for layer, size in self.noise_layers:
            factors = np.ones((layer.kernel.shape[-2], 1), np.float32)
            factors[:size] = scale  # what comes after the noise are labels, which are not scaled
            layer.kernel.assign(layer.kernel * factors)

    def reestimate_batch_norm(self, batch: Callable) -> None:
        """Sets the statistics of every batch norm to their mean over batches of noise."""
        statistics = [variable for layer in self.norms for variable in (layer.moving_mean, layer.moving_variance)]
        momenta = [layer.momentum for layer in self.norms]
        for layer in self.norms:
            layer.momentum = 0.0  # so that a forward pass leaves the statistics of its own batch
        values = []
        for i in range(STATISTICS_BATCHES if self.norms else 0):
            self.generate_in_training_mode(batch(i))
            values.append([variable.numpy() for variable in statistics])
        for variable, *batches in zip(statistics, *values, strict=True):
            variable.assign(np.mean(batches, axis=0))
        for layer, momentum in zip(self.norms, momenta, strict=True):
            layer.momentum = momentum

    def find_noise_scale(self, batch: Callable) -> float:
        """The factor of the noise with which samples have the real images' variance; 1 where they hardly vary.

        A first guess is the ratio of the variances; a second measurement shows how the variance follows the noise.
        """
        if self.whitened is None:
            self.whitened = whiten(lambda i: split_labels(batch(STATISTICS_BATCHES + i))[0], VARIANCE_BATCHES)

        def generate(i: int, scale: float):
            labels = split_labels(batch(STATISTICS_BATCHES + i))[1:]
            noise = tf.convert_to_tensor(scale * self.whitened(i))
            return self.generate([noise, *labels] if labels else noise)

        measured = list(running_variance(generate(i, 1.0) for i in range(VARIANCE_BATCHES)))
        before = measured[-1]
        if not (self.variance > 0 and 1e-6 * self.variance < before < np.inf):
            return 1.0
        ratio = self.variance / before
        guess = float(np.clip(ratio, 1 / MAX_SCALE, MAX_SCALE))
        some, louder = measured[PROBE_BATCHES - 1], pixel_variance(generate(i, guess) for i in range(PROBE_BATCHES))
        known = abs(guess - 1) > 0.001 and some > 0 and 0 < louder < np.inf
        power = np.log(louder / some) / np.log(guess) if known else 1.0
        return float(np.clip(ratio ** (1 / np.clip(power, 0.5, 2.0)), 1 / MAX_SCALE, MAX_SCALE))


def split_labels(inputs) -> list:
    """Makes a list of what a network takes: noise, or noise and labels."""
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def count_noise(tensor, network: keras.Model) -> int:
    """How many channels of a symbolic tensor are the network's noise, perhaps in another shape; others come after."""
    tensor = uncast(tensor)
    operation = tensor._keras_history.operation
    if isinstance(operation, keras.layers.Concatenate):
        return count_noise(operation.input[0], network)
    reshaped = isinstance(operation, keras.layers.Flatten | keras.layers.Reshape)
    is_noise = tensor is network.inputs[0] or (reshaped and count_noise(operation.input, network))
    return tensor.shape[-1] if is_noise else 0


def whiten(noise: Callable, count: int) -> Callable:
    """The first `count` batches of `noise`, moved so that together they have mean 0 and uncorrelated components.

    The variance of samples from it is nearer to that from endless noise than by chance: of 2,000 samples, within 0.4%
    in place of 1.1% (CelebA). Moment matching: Barraquand, Management Science 41 (1995).
    Noise with more components than a quarter of its rows is returned as it is.
    """
    first = np.asarray(noise(0))
    rows, size = count * len(first), first[0].size
    if 4 * size > rows:
        return noise
    flat = np.concatenate([np.asarray(noise(i)).reshape(-1, size) for i in range(count)])
    left, sizes, right = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    white = np.sqrt(np.mean(sizes**2)) * (left @ right)
    return np.split(white.reshape(-1, *first.shape[1:]), count).__getitem__
