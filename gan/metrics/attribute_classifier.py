"""Attribute classifier: a small network that predicts the labels of images, to see what a generator draws.

    classifier = load_for_faces(faces, training_rows, held_out_rows, cache_dir)
    codes = classifier.predict(samples)       # int32 (n, attributes), as in gan/labels.py
    classifier.accuracy["Smiling"]            # on held-out images: 0.90

It is trained once for a data set and its labels, on the images that generators are trained on, and stored. The avatars
have a network of their own (gan/metrics/avatar_classifier.py), whose predictions `AvatarAttributes` gives as codes.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from gan import images
from gan.labels import Labels
from gan.metrics import avatar_classifier
from gan.metrics.stored_network import SIDE, load_or_train, reduce_images
from gan.progress import track_task

VERSION = 1  # raise it when the same images and labels would give another network
WIDTHS = (24, 48, 96)
SEED, BATCH, STEPS, LEARNING_RATE, WEIGHT_DECAY = 7, 128, 1500, 2e-3, 0.02
SHIFT = 2  # pixels by which training images are moved at most
PREDICTED = 500  # images predicted at once
FEWEST = 20  # held-out images from which an accuracy is measured


@dataclass(frozen=True)
class AttributeClassifier:
    """Predicts the labels of images of `size` x `size` pixels.

    Arguments:
        labels: the attributes, in order.
        size: side of the images.
        network: a Keras model, images in [-1, 1] -> logits (n, labels.width).
        accuracy: the share of held-out images whose attribute is predicted right, by attribute; NaN where fewer than
            `FEWEST` were held out.
        digest: 12 hexadecimal digits of the weights.
    """

    labels: Labels
    size: int
    network: keras.Model
    accuracy: dict[str, float]
    digest: str

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Predicts the codes int32 (n, attributes) of uint8 images (n, size, size, 3).

        Raises ValueError where the images have another shape.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self.size, self.size, 3) or not len(pixels):
            raise ValueError(f"{pixels.dtype} {pixels.shape} are not uint8 images (n, {self.size}, {self.size}, 3)")
        return predict_codes(self.network, self.labels, reduce_images(pixels))


@dataclass(frozen=True)
class AvatarAttributes:
    """The classifier of avatars, for `labels` that are some of their attributes; as `AttributeClassifier`."""

    labels: Labels
    classifier: avatar_classifier.Classifier

    @property
    def accuracy(self) -> dict[str, float]:
        """The accuracy of each attribute on avatars that it was not trained on."""
        return {attribute.name: self.classifier.accuracy[attribute.name] for attribute in self.labels.attributes}

    @property
    def digest(self) -> str:
        """12 hexadecimal digits of the weights."""
        return self.classifier.digest

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Predicts the codes int32 (n, attributes) of uint8 images."""
        predicted = self.classifier.predict(pixels)
        return np.stack([predicted[attribute.name].argmax(1) for attribute in self.labels.attributes], 1).astype(
            np.int32
        )


def load_for_faces(faces, training_rows: np.ndarray, held_out_rows: np.ndarray, cache_dir: Path):
    """Loads a classifier of the labels of `faces`, a `data.Faces`: that of avatars, or one trained on the images.

    Arguments:
        training_rows, held_out_rows, cache_dir: as for `load_classifier`.
    """
    known = {name: tuple(values) for name, values in avatar_classifier.ATTRIBUTES.items()}
    # Labels from a file may have the names of avatars' attributes, and other values or another order of these.
    if faces.avatars and all(known.get(each.name) == each.values for each in faces.labels.attributes):
        found = avatar_classifier.load_classifier(faces.images.shape[1], cache_dir)
        return AvatarAttributes(faces.labels, found)
    return load_classifier(faces.images, faces.labels, training_rows, held_out_rows, cache_dir)


def load_classifier(
    pixels: np.ndarray,
    labels: Labels,
    training_rows: np.ndarray,
    held_out_rows: np.ndarray,
    cache_dir: Path,
) -> AttributeClassifier:
    """Loads the classifier of a data set from the cache, or trains it, which takes two minutes.

    No global state, of random numbers or of precision, is used or changed.

    Arguments:
        pixels: uint8 (n, size, size, 3), which may be on disk.
        labels: of these images; those that are unknown are not learned from.
        training_rows, held_out_rows: the numbers of the images to train on, and to measure accuracies on.
        cache_dir: folder where the classifier is stored.
    """
    size = pixels.shape[1]
    key = hashlib.blake2b(repr((VERSION, pixels.shape, labels.digest)).encode(), digest_size=10)
    for rows in (training_rows, held_out_rows):
        key.update(np.ascontiguousarray(rows, "<i8").tobytes())
    # Of the content, some images suffice: others would have other digests, and other labels.
    key.update(np.ascontiguousarray(pixels[:: -(-len(pixels) // 1000)]).tobytes())
    path = Path(cache_dir) / f"classifier-{size}-{key.hexdigest()}.npz"
    network = build_network(min(size, SIDE), labels.width)

    def train_and_measure() -> dict[str, np.ndarray]:
        train(network, labels, pixels, training_rows)
        return {"accuracy": measure_accuracy(network, labels, pixels, held_out_rows)}

    names = [attribute.name for attribute in labels.attributes]
    measured, digest = load_or_train(path, network, train_and_measure, {"accuracy": (len(names),)})
    accuracy = dict(zip(names, measured["accuracy"].tolist(), strict=True))
    return AttributeClassifier(labels, size, network, accuracy, digest)


def build_network(side: int, width: int) -> keras.Model:
    """Builds the network: images (n, side, side, 3) in [-1, 1] -> logits (n, width).

    Names, seeds and precision are given, as Keras takes what is missing from its global state.
    """
    options = {"dtype": "float32"}
    x = start = keras.Input((side, side, 3), name="faces", **options)
    for i, filters in enumerate(WIDTHS):
        for j in range(2 if i else 1):
            initializer = keras.initializers.HeNormal(seed=10 * i + j)
            x = layers.Conv2D(
                filters,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer=initializer,
                name=f"conv_{i}_{j}",
                **options,
            )(x)
            x = layers.BatchNormalization(momentum=0.95, name=f"norm_{i}_{j}", **options)(x)
            x = layers.ReLU(name=f"relu_{i}_{j}", **options)(x)
        x = layers.MaxPooling2D(name=f"pool_{i}", **options)(x)
    x = layers.Flatten(name="flat", **options)(x)
    x = layers.Dropout(0.5, seed=SEED, name="dropout", **options)(x)
    head = layers.Dense(
        width, kernel_initializer=keras.initializers.RandomNormal(0, 0.01, seed=99), name="labels", **options
    )
    return keras.Model(start, head(x), name="attributes")


def train(network: keras.Model, labels: Labels, pixels: np.ndarray, rows: np.ndarray) -> None:
    """Trains a network on the images of some rows, by AdamW with a cosine schedule."""
    x = np.concatenate([reduce_images(pixels[rows[i : i + PREDICTED]]) for i in range(0, len(rows), PREDICTED)])
    codes = labels.codes[rows]
    targets = labels.encode(codes)
    known = np.repeat(codes >= 0, labels.widths, axis=1).astype(np.float32)
    step = _build_step(network, labels.widths)
    order = np.random.default_rng(SEED)
    queue = np.zeros(0, np.int64)
    with track_task("Training a classifier of the labels") as tick:
        for i in range(STEPS):
            while len(queue) < BATCH:
                queue = np.concatenate([queue, order.permutation(len(x))])
            chosen, queue = queue[:BATCH], queue[BATCH:]
            step(x[chosen], targets[chosen], known[chosen], tf.constant(i))
            tick(i + 1, STEPS)


def measure_accuracy(network: keras.Model, labels: Labels, pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Measures, for each attribute, the share of images with a label that are predicted right; NaN for few images."""
    if not len(rows):
        return np.full(len(labels.attributes), np.nan)
    parts = [rows[i : i + PREDICTED] for i in range(0, len(rows), PREDICTED)]
    predicted = np.concatenate([predict_codes(network, labels, reduce_images(pixels[part])) for part in parts])
    true = labels.codes[rows]
    known = (true >= 0).sum(axis=0)
    right = ((true >= 0) & (predicted == true)).sum(axis=0)
    return np.where(known >= FEWEST, right / np.maximum(1, known), np.nan)


def predict_codes(network: keras.Model, labels: Labels, pixels: np.ndarray) -> np.ndarray:
    """Predicts codes, int32 (n, attributes), of uint8 images (n, side, side, 3): the most likely value of each."""
    batches = [tf.cast(pixels[i : i + PREDICTED], tf.float32) for i in range(0, len(pixels), PREDICTED)]
    # The mean over an image and its mirror image.
    logits = np.concatenate(
        [
            sum(
                network(x, training=False).numpy() for x in (images.to_float(batch), images.to_float(batch)[:, :, ::-1])
            )
            for batch in batches
        ]
    )
    parts = np.split(logits, np.cumsum(labels.widths)[:-1], axis=1)
    return np.stack(
        [
            part.argmax(axis=1) if attribute.values else part[:, 0] > 0
            for attribute, part in zip(labels.attributes, parts, strict=True)
        ],
        axis=1,
    ).astype(np.int32)


def _build_step(network: keras.Model, sizes: list[int]) -> Callable:
    """Builds a training step, on images moved, mirrored, blurred, brightened and made noisy, as samples may be."""
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS), weight_decay=WEIGHT_DECAY
    )
    optimizer.build(network.trainable_variables)
    starts = np.cumsum([0, *sizes[:-1]])

    @tf.function(autograph=False)
    def step(pixels, targets, known, i):
        x = images.to_float(tf.cast(pixels, tf.float32))
        count, side = tf.shape(x)[0], x.shape[1]
        amount = tf.random.stateless_uniform((5, count, 1, 1, 1), tf.stack([SEED, i]))
        x = tf.where(amount[0] < 0.5, x, x[:, :, ::-1])
        x += amount[1] * (tf.nn.avg_pool2d(x, 3, 1, "SAME") - x)
        x = x * (0.8 + 0.4 * amount[2]) + 0.3 * (amount[3] - 0.5)
        x += 0.1 * amount[4] ** 2 * tf.random.stateless_normal(tf.shape(x), tf.stack([SEED + 1, i]))
        x = tf.pad(x, [[0, 0], [SHIFT, SHIFT], [SHIFT, SHIFT], [0, 0]], "REFLECT")
        moved = tf.random.stateless_uniform((2, count), tf.stack([SEED + 2, i]), maxval=2 * SHIFT + 1, dtype=tf.int32)
        rows, columns = (each[:, None] + tf.range(side) for each in tf.unstack(moved))
        x = tf.gather(tf.gather(x, rows, axis=1, batch_dims=1), columns, axis=2, batch_dims=1)
        with tf.GradientTape() as tape:
            logits = network(x, training=True)
            loss = 0.0
            for start, size in zip(starts, sizes, strict=True):
                target, part = targets[:, start : start + size], logits[:, start : start + size]
                if size == 1:
                    each = tf.nn.sigmoid_cross_entropy_with_logits(target, part)[:, 0]
                else:
                    each = tf.nn.softmax_cross_entropy_with_logits(target, part)
                loss += tf.reduce_mean(each * known[:, start])
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    return step
