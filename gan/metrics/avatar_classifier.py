"""Avatar classifier: a small network that predicts the attributes of avatars, so that mode collapse is a number.

    classifier = load_classifier(32, cache_dir)
    data, samples = classifier.predict(images), classifier.predict(fake)  # attribute -> probabilities of its values
    classifier.face_rate(samples)                                         # of avatars: 0.95
    comparison = compare_histograms(compute_histograms(samples), compute_histograms(data))
    comparison.coverage, comparison.missing, comparison.distances

It is trained on first use, on avatars generated for it alone, and stored. It predicts both sides of a comparison, so
its mistakes are on both.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from gan import images
from gan.datasets import avatars
from gan.datasets.avatars import ATTRIBUTES
from gan.metrics.stored_network import SIDE, load_or_train, reduce_images
from gan.progress import track_task

VERSION = 2  # raise it when the same avatars would give another network
SEED = 20_231_117  # of the avatars to train on, so that a run trains on none of them
TRAINING, HELD_OUT, NEGATIVES = 7000, 2000, 1400  # images: to train on, to measure accuracy, without a face
EPOCHS, BATCH, LEARNING_RATE = 6, 128, 0.003
ACCEPTED = 0.95  # the share of avatars that count as faces
RARE, PRESENT = 0.005, 0.1  # a value with this share of the data must have this part of that share in samples
COUNTS = [len(values) for values in ATTRIBUTES.values()]


@dataclass(frozen=True)
class Classifier:
    """Predicts the attributes of avatars of `size` x `size` pixels.

    Arguments:
        size: side of the images.
        network: a Keras model, images in [-1, 1] -> logits.
        accuracy: the accuracy of each attribute on held-out avatars.
        min_confidence: the mean confidence from which an image counts as a face.
        digest: 12 hexadecimal digits of the weights.
    """

    size: int
    network: keras.Sequential
    accuracy: dict[str, float]
    min_confidence: float
    digest: str

    def predict(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Predicts, of uint8 images (n, size, size, 3), the probabilities (n, values) of each attribute's values.

        Attributes and values are in the order of ATTRIBUTES. Raises ValueError where the images have another shape.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self.size, self.size, 3) or not len(pixels):
            raise ValueError(f"{pixels.dtype} {pixels.shape} are not uint8 images (n, {self.size}, {self.size}, 3)")
        return _predict(self.network, reduce_images(pixels))

    def face_rate(self, predicted: dict[str, np.ndarray]) -> float:
        """Computes the share of images that are predicted with at least the confidence of 95% of avatars."""
        return float(np.mean(mean_confidence(predicted) >= self.min_confidence))


class HistogramComparison(NamedTuple):
    """The distributions of samples over the values of each attribute, compared with the data's.

    `distances` are total variation distances, from 0 to 1. `coverage` is the share of the data's values that samples
    have too, at a tenth of the data's share or more; `missing` lists the others by attribute.
    """

    distances: dict[str, float]
    coverage: float
    missing: dict[str, list[str]]


def load_classifier(size: int, cache_dir: Path) -> Classifier:
    """Loads the classifier of a size from the cache, or trains it, which takes half a minute.

    It may be called amid a training: no global state, of random numbers or of precision, is used or changed.

    Arguments:
        size: side of the images, a multiple of 4.
        cache_dir: folder where the classifier is stored.
    """
    version = hashlib.blake2b(repr((VERSION, avatars.VERSION)).encode(), digest_size=6).hexdigest()
    path = Path(cache_dir) / f"attributes-{size}-{version}.npz"
    network = _build_network(min(size, SIDE))

    def train() -> dict[str, np.ndarray]:
        accuracy, min_confidence = _train(network, size)
        return {"accuracy": accuracy, "least_sure": min_confidence}

    measured, digest = load_or_train(path, network, train, {"accuracy": (len(COUNTS),), "least_sure": ()})
    accuracy = dict(zip(ATTRIBUTES, measured["accuracy"].tolist(), strict=True))
    return Classifier(size, network, accuracy, float(measured["least_sure"]), digest)


def most_likely_values(predicted: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Selects the most likely value of each attribute: attribute -> names of values, (n,)."""
    return {name: np.array([*ATTRIBUTES[name]])[probabilities.argmax(1)] for name, probabilities in predicted.items()}


def has_hair(attributes: dict) -> np.ndarray:
    """Tests which avatars have hair or a beard, bool (n,), from their attributes: others have no visible hair color."""
    return (np.asarray(attributes["hair"]) != "bald") | (np.asarray(attributes["beard"]) != "none")


def mean_confidence(predicted: dict[str, np.ndarray]) -> np.ndarray:
    """Averages the largest probability over the visible attributes, (n,)."""
    largest = np.stack([probabilities.max(1) for probabilities in predicted.values()], axis=1)
    visible = np.ones_like(largest)
    visible[:, [*predicted].index("hair_color")] = has_hair(most_likely_values(predicted))
    return np.average(largest, axis=1, weights=visible)


def compute_histograms(predicted: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Computes the share of each value: attribute -> value -> share; of hair colors, among avatars with hair."""
    found = most_likely_values(predicted)
    found["hair_color"] = found["hair_color"][has_hair(found)]
    return {
        name: {value: float(np.sum(found[name] == value)) / max(1, len(found[name])) for value in ATTRIBUTES[name]}
        for name in found
    }


def compare_histograms(samples: dict[str, dict[str, float]], data: dict[str, dict[str, float]]) -> HistogramComparison:
    """Compares histograms of samples with the data's; fewer than 1,000 samples may lack a value by chance."""
    distances, missing, total = {}, {}, 0
    for name, shares in data.items():
        # Half the sum of |p - q|, and 1 where p is empty, as is the hair color of bald avatars.
        distances[name] = max(0.0, 1 - sum(min(share, samples[name][value]) for value, share in shares.items()))
        expected = [value for value, share in shares.items() if share >= RARE]
        missing[name] = [value for value in expected if samples[name][value] < PRESENT * shares[value]]
        total += len(expected)
    coverage = 1 - sum(map(len, missing.values())) / total
    return HistogramComparison(distances, coverage, {name: values for name, values in missing.items() if values})


def _build_network(side: int) -> keras.Sequential:
    """Builds the network: images (n, side, side, 3) in [-1, 1] -> logits (n, all values of all attributes).

    Names, seeds and precision are given, as Keras takes what is missing from its global state.
    """
    float32, body = {"dtype": "float32"}, []
    for i, filters in enumerate((24, 48, 96)):  # each on a quarter of the pixels
        initializer = keras.initializers.HeNormal(seed=i)
        body += [
            layers.Conv2D(
                filters, 4, 2, "same", use_bias=False, kernel_initializer=initializer, name=f"conv_{i}", **float32
            ),
            layers.BatchNormalization(momentum=0.9, name=f"norm_{i}", **float32),
            layers.LeakyReLU(0.1, name=f"relu_{i}", **float32),
        ]
    initializer = keras.initializers.HeNormal(seed=3)
    head = layers.Dense(sum(COUNTS), kernel_initializer=initializer, name="values", **float32)
    start = keras.Input((side, side, 3), name="faces", **float32)
    return keras.Sequential([start, *body, layers.Flatten(name="flat", **float32), head], name="attributes")


def _predict(network: keras.Sequential, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Predicts, of uint8 images (n, side, side, 3): attribute -> probabilities (n, values)."""
    batches = [tf.cast(pixels[i : i + 500], tf.float32) for i in range(0, len(pixels), 500)]
    logits = tf.concat([network(images.to_float(batch), training=False) for batch in batches], axis=0)
    parts = tf.split(logits, COUNTS, axis=1)
    return {name: tf.nn.softmax(part).numpy() for name, part in zip(ATTRIBUTES, parts, strict=True)}


def _train(network: keras.Sequential, size: int) -> tuple[np.ndarray, float]:
    """Trains on avatars and on images without a face; returns accuracies and `min_confidence`, of held-out avatars."""
    with track_task("Generating avatars to train on") as tick:
        pixels, attributes = avatars.draw(TRAINING + HELD_OUT, size, SEED, tick)
    pixels, targets = reduce_images(pixels), _encode(attributes)
    rng = np.random.default_rng(SEED)
    uniform = np.repeat(1 / np.array(COUNTS, np.float32), COUNTS)  # the target of images without a face
    x = np.concatenate([pixels[:TRAINING], _remove_faces(pixels[:NEGATIVES], rng)])
    y = np.concatenate([targets[:TRAINING], np.tile(uniform, (NEGATIVES, 1))])
    order = np.concatenate([rng.permutation(len(x)) for _ in range(EPOCHS)])
    steps = len(order) // BATCH
    step = _build_step(network, steps)
    with track_task("Training the classifier of avatars") as tick:
        for i in range(steps):
            rows = order[i * BATCH : (i + 1) * BATCH]
            step(x[rows], y[rows], tf.constant(i))
            tick(i + 1, steps)
    predicted, true = _predict(network, pixels[TRAINING:]), targets[TRAINING:]
    starts = np.cumsum([0, *COUNTS[:-1]])
    hits, visible = (
        np.add.reduceat(one_hot.sum(0, float), starts)
        for one_hot in (true * _encode(most_likely_values(predicted)), true)
    )
    return hits / visible, np.quantile(mean_confidence(predicted), 1 - ACCEPTED)


def _encode(attributes: dict) -> np.ndarray:
    """Encodes names of values as float32 (n, all values): a 1 for each attribute, none for an invisible hair color."""
    parts = {name: np.array(attributes[name])[:, None] == [*values] for name, values in ATTRIBUTES.items()}
    parts["hair_color"] &= has_hair(attributes)[:, None]
    return np.concatenate([*parts.values()], axis=1).astype(np.float32)


def _remove_faces(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cuts each avatar into sixteen tiles and shuffles them; replaces every other one by colored squares.

    Without such images a network is nearly as confident of noise as of avatars. arXiv:1812.04606.
    """
    n, side, tile = len(pixels), pixels.shape[1], pixels.shape[1] // 4
    tiles = pixels.reshape(n, 4, tile, 4, tile, 3).swapaxes(2, 3).reshape(n, 16, -1)
    tiles = np.take_along_axis(tiles, rng.random((n, 16, 1)).argsort(1), axis=1)
    mixed = tiles.reshape(n, 4, 4, tile, tile, 3).swapaxes(2, 3).reshape(pixels.shape)
    for i in range(0, n, 2):
        width = (1, 2, 4)[i // 2 % 3]
        squares = rng.integers(0, 256, (side // width, side // width, 3), np.uint8)
        mixed[i] = squares.repeat(width, axis=0).repeat(width, axis=1)
    return mixed


def _build_step(network: keras.Sequential, steps: int) -> Callable:
    """Builds a step of Adam on cross-entropy, on images mirrored, blurred, brightened and made noisy as samples may be.

    Hair is not symmetric, and generators are trained on mirrored images: some draw a hair style mirrored only.
    """
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps))
    optimizer.build(network.trainable_variables)

    @tf.function(autograph=False)
    def step(pixels, targets, i):
        x = images.to_float(tf.cast(pixels, tf.float32))
        amount = tf.random.stateless_uniform((5, BATCH, 1, 1, 1), tf.stack([SEED, i]))
        x = tf.where(amount[4] < 0.5, x, tf.reverse(x, axis=[2]))
        x += amount[0] * (tf.nn.avg_pool2d(x, 3, 1, "SAME") - x)
        x = x * (0.85 + 0.3 * amount[1]) + 0.3 * (amount[2] - 0.5)
        x += 0.2 * amount[3] ** 2 * tf.random.stateless_normal(x.shape, tf.stack([SEED + 1, i]))
        with tf.GradientTape() as tape:
            parts = tf.split(network(x, training=True), COUNTS, axis=1)
            log_probabilities = tf.concat([tf.nn.log_softmax(part) for part in parts], axis=1)
            loss = -tf.reduce_sum(targets * log_probabilities) / BATCH
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    return step
