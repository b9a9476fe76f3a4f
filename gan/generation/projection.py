"""The noise whose face is nearest to a photograph: the best of many faces, then downhill through the generator.

found = project(generator, network, photo)  # uint8 (size, size, 3)
found.noise, found.faces                    # (1, *noise_shape), and the nearest face at each of `STEPS`

How far a face is from the photograph is told in pixels and in a network's features, each over what faces at random
have, so that 1 is chance. Image2StyleGAN, arXiv:1904.03189, does so with VGG16's features.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gan.generation import noise
from gan.generation.generator import Generator
from gan.images import to_float
from gan.metrics.feature_extractors import FeatureExtractor

CANDIDATES, STARTS = 1000, 8  # faces to choose from, and how many of them go downhill side by side
STEPS = (0, 10, 30, 100, 300)  # at which the nearest face is kept
RATE = 0.05  # Adam's, falling to 0 along a half cosine
FAITH = 0.1  # weight of the noise being such as training had


class Projection(NamedTuple):
    """The noise of the nearest face, (1, *noise_shape); the faces at each of `STEPS`, uint8, and how far they are."""

    noise: np.ndarray
    faces: np.ndarray
    distances: np.ndarray


def project(generator: Generator, network: FeatureExtractor, photo: np.ndarray, seed: int = 0) -> Projection:
    """Looks for the noise of a face like `photo`, uint8 (size, size, 3); `seed` is the first face to choose from."""
    candidates = noise.sample_noise(
        (seed + np.arange(CANDIDATES)) % 2**32, generator.noise_shape, generator.noise_distribution
    )
    distance = build_distance(generator, network, photo, candidates[:100])
    apart = np.concatenate([distance(candidates[i : i + 50]) for i in range(0, CANDIDATES, 50)])
    z = tf.Variable(candidates[np.argsort(apart)[:STARTS]])
    step, shots = build_step(z, distance, generator.noise_distribution), []
    for i in range(STEPS[-1] + 1):
        if i in STEPS:
            apart = distance(z).numpy()
            best = int(np.argmin(apart))
            shots.append((z.numpy()[best], apart[best]))
        step()
    found = np.stack([shot for shot, _ in shots])
    return Projection(found[-1:], generator(found), np.array([far for _, far in shots]))


def build_distance(generator: Generator, network: FeatureExtractor, photo: np.ndarray, samples: np.ndarray) -> Callable:
    """A function from noise (n, ...) to how far each face is from the photograph, (n,); of `samples` it is 1."""
    target = to_float(photo[None].astype(np.float32))
    seen = extract_features(network, target)

    def apart(z) -> tuple[tf.Tensor, tf.Tensor]:
        faces = generator.generate(z)
        pixels = tf.reduce_mean(tf.square(faces - target), axis=(1, 2, 3))
        return pixels, tf.reduce_mean(tf.square(extract_features(network, faces) - seen), axis=1)

    chance = [tf.reduce_mean(part) for part in apart(samples)]

    @tf.function(autograph=False, reduce_retracing=True)
    def distance(z):
        return sum(part / mean for part, mean in zip(apart(z), chance, strict=True)) / 2

    return distance


def extract_features(network: FeatureExtractor, faces):
    """float32 faces in [-1, 1] -> features, with a gradient: so the resizing is TensorFlow's, not Pillow's."""
    resized = tf.image.resize(faces, (network.size, network.size), "bicubic", antialias=True)
    return network.forward(127.5 * (resized + 1))


def build_step(z: tf.Variable, distance: Callable, law: str) -> Callable:
    """A function that moves `z` one step downhill, each of its rows alone."""
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, STEPS[-1]), beta_2=0.99)
    optimizer.build([z])

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(distance(z) + FAITH * noise_penalty(z, law))
        optimizer.apply([tape.gradient(loss, z)], [z])
        if law == "uniform":
            z.assign(tf.clip_by_value(z, -1.0, 1.0))

    return step


def noise_penalty(z, law: str):
    """How unlike training's noise each row is, (n,): normal noise of many numbers has a mean square of about 1."""
    if law == "uniform":
        return tf.zeros(z.shape[0])
    return tf.square(tf.reduce_mean(tf.square(z), axis=list(range(1, z.shape.rank))) - 1)
