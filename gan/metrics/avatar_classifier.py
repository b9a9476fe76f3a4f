"""What is in a drawn face, predicted by a small network: so that mode collapse on the built-in avatars is a number.

    classifier = load_classifier(32, cache_dir)
    data, samples = classifier.predict(faces.images), classifier.predict(fakes)  # attribute -> probabilities of its values
    classifier.face_rate(samples)                                     # of drawn faces: 0.95
    compare_histograms(histograms(samples), histograms(data))               # .distances, .coverage, .missing

The network is trained on first use, on faces drawn for it alone, and kept. Both sides of a comparison are predicted
by it, so that what it mistakes is mistaken on both.
"""

import hashlib
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image

from gan import files, images
from gan.datasets import avatars
from gan.datasets.avatars import ATTRIBUTES
from gan.runs import checkpoints

VERSION = 1  # raise it when the same faces would give another network
SEED = 20_231_117  # of the faces to learn from, so that a run trains on none of them
SIDE = 32  # larger images are reduced to this: it is enough to tell every attribute, and takes no longer
LEARNT, HELD_OUT, NO_FACES = 7000, 2000, 1400
EPOCHS, BATCH, LEARNING_RATE = 6, 128, 0.003
SURE = 0.95  # the share of drawn faces that count as faces
RARE, PRESENT = 0.005, 0.1  # a value with this share of the data must have this part of that share in samples
COUNTS = [len(values) for values in ATTRIBUTES.values()]


@dataclass(frozen=True)
class Classifier:
    """Tells the attributes of drawn faces of `size` x `size` pixels.

    `accuracy` of each attribute is on faces held out. `digest` names the weights: scores by others differ.
    """

    size: int
    network: keras.Sequential
    accuracy: dict[str, float]
    least_sure: float
    digest: str

    def predict(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        """uint8 (n, size, size, 3) -> attribute -> probabilities (n, values), in the order of ATTRIBUTES."""
        if faces.dtype != np.uint8 or faces.shape[1:] != (self.size, self.size, 3) or not len(faces):
            raise ValueError(f"{faces.dtype} {faces.shape} are not uint8 images (n, {self.size}, {self.size}, 3)")
        return _predict(self.network, _reduce(faces))

    def face_rate(self, predicted: dict[str, np.ndarray]) -> float:
        """The share of images that are predicted as surely as 95% of drawn faces are."""
        return float(np.mean(mean_confidence(predicted) >= self.least_sure))


class HistogramComparison(NamedTuple):
    """How samples spread over the values of each attribute, against the data.

    `distances` are total variation distances, from 0 to 1. `coverage` is the share of the data's values that
    samples have too, at a tenth of the data's share or more; `missing` names the others.
    """

    distances: dict[str, float]
    coverage: float
    missing: dict[str, list[str]]


def load_classifier(
    size: int, cache_dir: Path, progress: Callable = lambda title: nullcontext(lambda done, total: None)
) -> Classifier:
    """The classifier of a size, a multiple of 4: from the cache, or trained now, in half a minute.

    `progress(title)` is a context that yields tick(done, total). May be called amid a training: no global state,
    neither of randomness nor of precision, is used or changed.
    """
    version = hashlib.blake2b(repr((VERSION, avatars.VERSION)).encode(), digest_size=6).hexdigest()
    path = Path(cache_dir) / f"attributes-{size}-{version}.npz"
    network = _network(min(size, SIDE))
    weights = {f"weight/{i:02d}": weight for i, weight in enumerate(network.weights)}
    if path.exists():
        try:
            return _read(path, size, network, weights)
        except checkpoints.READ_ERRORS as error:
            print(f"The cache file {path} is damaged ({error}): training it again.", file=sys.stderr)
    accuracy, least_sure = _train(network, size, progress)
    with files.atomic_write(path) as file:
        arrays = {name: weight.numpy() for name, weight in weights.items()}
        np.savez(file, accuracy=accuracy, least_sure=least_sure, **arrays)
    return _read(path, size, network, weights)


def most_likely_values(predicted: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Attribute -> the likeliest value of each face, (n,)."""
    return {name: np.array([*ATTRIBUTES[name]])[chances.argmax(1)] for name, chances in predicted.items()}


def hair_shows(faces: dict) -> np.ndarray:
    """Which of the faces, given in words, have hair or a beard, bool (n,): of the others no colour is seen."""
    return (np.asarray(faces["hair"]) != "bald") | (np.asarray(faces["beard"]) != "none")


def mean_confidence(predicted: dict[str, np.ndarray]) -> np.ndarray:
    """The largest probability, averaged over the attributes that are seen, (n,)."""
    largest = np.stack([chances.max(1) for chances in predicted.values()], axis=1)
    seen = np.ones_like(largest)
    seen[:, [*predicted].index("hair_colour")] = hair_shows(most_likely_values(predicted))
    return np.average(largest, axis=1, weights=seen)


def histograms(predicted: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Attribute -> value -> its share of the faces; of hair colours, its share of those whose hair shows."""
    faces = most_likely_values(predicted)
    faces["hair_colour"] = faces["hair_colour"][hair_shows(faces)]
    return {
        name: {value: float(np.sum(faces[name] == value)) / max(1, len(faces[name])) for value in ATTRIBUTES[name]}
        for name in faces
    }


def compare_histograms(samples: dict[str, dict[str, float]], data: dict[str, dict[str, float]]) -> HistogramComparison:
    """The histograms of samples against those of the data; of fewer than 1,000 samples, chance may miss a value."""
    distances, missing, total = {}, {}, 0
    for name, shares in data.items():
        # Half the sum of |p - q|, and 1 where there is nothing in p, as of the hair colour of bald faces.
        distances[name] = max(0.0, 1 - sum(min(share, samples[name][value]) for value, share in shares.items()))
        expected = [value for value, share in shares.items() if share >= RARE]
        missing[name] = [value for value in expected if samples[name][value] < PRESENT * shares[value]]
        total += len(expected)
    coverage = 1 - sum(map(len, missing.values())) / total
    return HistogramComparison(distances, coverage, {name: values for name, values in missing.items() if values})


def _network(side: int) -> keras.Sequential:
    """Images (n, side, side, 3) in [-1, 1] -> logits (n, all values of all attributes).

    Names, seeds and precision are spelled out: Keras takes what is not from its global state.
    """

    float32, body = {"dtype": "float32"}, []
    for i, filters in enumerate((24, 48, 96)):  # each a quarter of the pixels before
        start = keras.initializers.HeNormal(seed=i)
        body += [
            layers.Conv2D(filters, 4, 2, "same", use_bias=False, kernel_initializer=start, name=f"conv_{i}", **float32),
            layers.BatchNormalization(momentum=0.9, name=f"norm_{i}", **float32),
            layers.LeakyReLU(0.1, name=f"relu_{i}", **float32),
        ]
    start = keras.initializers.HeNormal(seed=3)
    head = layers.Dense(sum(COUNTS), kernel_initializer=start, name="values", **float32)
    faces = keras.Input((side, side, 3), name="faces", **float32)
    return keras.Sequential([faces, *body, layers.Flatten(name="flat", **float32), head], name="attributes")


def _read(path: Path, size: int, network: keras.Sequential, weights: dict) -> Classifier:
    """The network, its `weights` assigned from a file. Raises one of `checkpoints.DAMAGE` before any is."""
    arrays = checkpoints.load(path, weights)
    accuracy, least_sure = dict(zip(ATTRIBUTES, arrays["accuracy"].tolist(), strict=True)), float(arrays["least_sure"])
    digest = hashlib.blake2b(digest_size=6)
    for name, weight in weights.items():
        weight.assign(arrays[name])
        digest.update(arrays[name].tobytes())
    return Classifier(size, network, accuracy, least_sure, digest.hexdigest())


def _reduce(faces: np.ndarray) -> np.ndarray:
    """uint8 (n, h, w, 3) -> no more than SIDE x SIDE pixels."""
    if faces.shape[1] <= SIDE:
        return faces
    return np.stack([np.asarray(images.resize_image(Image.fromarray(face), SIDE)) for face in faces])


def _predict(network: keras.Sequential, faces: np.ndarray) -> dict[str, np.ndarray]:
    """uint8 (n, side, side, 3) -> attribute -> probabilities (n, values)."""
    pieces = [tf.cast(faces[i : i + 500], tf.float32) for i in range(0, len(faces), 500)]
    logits = tf.concat([network(images.to_float(piece), training=False) for piece in pieces], axis=0)
    parts = tf.split(logits, COUNTS, axis=1)
    return {name: tf.nn.softmax(part).numpy() for name, part in zip(ATTRIBUTES, parts, strict=True)}


def _train(network: keras.Sequential, size: int, progress: Callable) -> tuple[np.ndarray, float]:
    """Trains on drawn faces and on no faces; returns accuracies and `least_sure`, both of faces held out."""
    with progress("Drawing faces to learn from") as tick:
        faces, attributes = avatars.draw(LEARNT + HELD_OUT, size, SEED, tick)
    faces, answers = _reduce(faces), _answers(attributes)
    rng = np.random.default_rng(SEED)
    unsure = np.repeat(1 / np.array(COUNTS, np.float32), COUNTS)
    x = np.concatenate([faces[:LEARNT], _no_faces(faces[:NO_FACES], rng)])
    y = np.concatenate([answers[:LEARNT], np.tile(unsure, (NO_FACES, 1))])
    order = np.concatenate([rng.permutation(len(x)) for _ in range(EPOCHS)])
    steps = len(order) // BATCH
    step = _step(network, steps)
    with progress("Learning to tell what is in a face") as tick:
        for i in range(steps):
            rows = order[i * BATCH : (i + 1) * BATCH]
            step(x[rows], y[rows], tf.constant(i))
            tick(i + 1, steps)
    predicted, right = _predict(network, faces[LEARNT:]), answers[LEARNT:]
    starts = np.cumsum([0, *COUNTS[:-1]])
    hits, seen = (
        np.add.reduceat(y.sum(0, float), starts) for y in (right * _answers(most_likely_values(predicted)), right)
    )
    return hits / seen, np.quantile(mean_confidence(predicted), 1 - SURE)


def _answers(attributes: dict) -> np.ndarray:
    """Words -> float32 (n, all values): a 1 for each attribute, but none for a hair colour that is not seen."""
    parts = {name: np.array(attributes[name])[:, None] == [*values] for name, values in ATTRIBUTES.items()}
    parts["hair_colour"] &= hair_shows(attributes)[:, None]
    return np.concatenate([*parts.values()], axis=1).astype(np.float32)


def _no_faces(faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Faces cut in sixteen and shuffled, every other one replaced by coloured squares: nothing to be sure of.

    Without them a network is nearly as sure of noise as of faces. arXiv:1812.04606.
    """
    n, side, tile = len(faces), faces.shape[1], faces.shape[1] // 4
    tiles = faces.reshape(n, 4, tile, 4, tile, 3).swapaxes(2, 3).reshape(n, 16, -1)
    tiles = np.take_along_axis(tiles, rng.random((n, 16, 1)).argsort(1), axis=1)
    mixed = tiles.reshape(n, 4, 4, tile, tile, 3).swapaxes(2, 3).reshape(faces.shape)
    for i in range(0, n, 2):
        wide = (1, 2, 4)[i // 2 % 3]
        squares = rng.integers(0, 256, (side // wide, side // wide, 3), np.uint8)
        mixed[i] = squares.repeat(wide, axis=0).repeat(wide, axis=1)
    return mixed


def _step(network: keras.Sequential, steps: int) -> Callable:
    """One step of Adam on cross-entropy, the images blurred, lit and roughened as a GAN's may be."""
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps))
    optimizer.build(network.trainable_variables)

    @tf.function(autograph=False)
    def step(pixels, answers, i):
        x = images.to_float(tf.cast(pixels, tf.float32))
        much = tf.random.stateless_uniform((4, BATCH, 1, 1, 1), tf.stack([SEED, i]))
        x += much[0] * (tf.nn.avg_pool2d(x, 3, 1, "SAME") - x)
        x = x * (0.85 + 0.3 * much[1]) + 0.3 * (much[2] - 0.5)
        x += 0.2 * much[3] ** 2 * tf.random.stateless_normal(x.shape, tf.stack([SEED + 1, i]))
        with tf.GradientTape() as tape:
            parts = tf.split(network(x, training=True), COUNTS, axis=1)
            chances = tf.concat([tf.nn.log_softmax(part) for part in parts], axis=1)
            loss = -tf.reduce_sum(answers * chances) / BATCH
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    return step
