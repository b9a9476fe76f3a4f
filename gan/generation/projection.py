"""Projection: searches for the noise whose image is nearest to a photograph, by gradient descent through the generator.

    found = project(generator, load_extractor("onet"), photo)    # uint8 (size, size, 3)
    found.noise, found.images                                    # the noise, and the nearest image at each of STEPS

The distance between two images is that of their pixels and that of their features, each divided by its mean over
random samples, so that 1 is chance. Image2StyleGAN, arXiv:1904.03189, combines pixels and VGG16 features likewise.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from gan.generation.generator import Generator
from gan.generation.noise import SEEDS
from gan.images import to_float
from gan.metrics.feature_extractors import FeatureExtractor

CANDIDATES, STARTS = 1000, 8  # random samples to choose from; how many of the nearest are optimized side by side
CANDIDATE_BATCH = 50  # candidates whose distance is computed at once
REFERENCE_SAMPLES = 100  # samples whose mean distance counts as 1
STEPS = (0, 10, 30, 100, 300)  # optimizer steps after which the nearest image is recorded
LEARNING_RATE = 0.05  # Adam's, decayed to 0 along a half cosine
PENALTY_WEIGHT = 0.1  # weight of `noise_penalty`


class Projection(NamedTuple):
    """Result of a search.

    `noise` (1, *noise_shape) is that of the last image; `images`, uint8 (len(STEPS), size, size, 3), are the nearest at
    each of `STEPS`; `distances` (len(STEPS),) are theirs from the photograph. `codes` (1, attributes) are the labels of
    the last image; None of a generator without labels.
    """

    noise: np.ndarray
    images: np.ndarray
    distances: np.ndarray
    codes: np.ndarray | None = None


def project(generator: Generator, extractor: FeatureExtractor, photo: np.ndarray, seed: int = 0) -> Projection:
    """Searches for the noise of an image like `photo`, uint8 (size, size, 3); `seed` is that of the first candidate.

    Labels stay those of the candidates that are nearest to the photograph.
    """
    seeds = (seed + np.arange(CANDIDATES)) % SEEDS
    candidates, codes = generator.sample_noise(seeds), generator.draw_codes(seeds)
    vectors = np.zeros((CANDIDATES, 0), np.float32) if codes is None else generator.labels.encode(codes)
    distance = build_distance(generator, extractor, photo, candidates[:REFERENCE_SAMPLES], vectors[:REFERENCE_SAMPLES])
    parts = (slice(i, i + CANDIDATE_BATCH) for i in range(0, CANDIDATES, CANDIDATE_BATCH))
    nearest = np.argsort(np.concatenate([distance(candidates[part], vectors[part]) for part in parts]))[:STARTS]
    z, labels = tf.Variable(candidates[nearest]), tf.constant(vectors[nearest])
    step, found, distances = build_step(z, lambda z: distance(z, labels), generator.noise_distribution), [], []
    for i in range(STEPS[-1] + 1):
        if i in STEPS:
            current = distance(z, labels).numpy()
            best = int(np.argmin(current))
            found.append((z.numpy()[best], nearest[best]))
            distances.append(current[best])
        if i < STEPS[-1]:
            step()
    noise, chosen = (np.stack(each) for each in zip(*found, strict=True))
    codes = None if codes is None else codes[chosen]
    return Projection(noise[-1:], generator(noise, codes), np.array(distances), None if codes is None else codes[-1:])


def build_distance(
    generator: Generator, extractor: FeatureExtractor, photo: np.ndarray, samples, their_labels=None
) -> Callable:
    """Returns a function that computes distances from a photograph: noise (n, *noise_shape), labels (n, k) -> (n,).

    Over the noise `samples` and `their_labels` its mean is 1. A generator without labels ignores them.
    """
    target = to_float(photo[None].astype(np.float32))
    target_features = extract_features(extractor, target)

    def parts(z, labels) -> tuple[tf.Tensor, tf.Tensor]:
        images = generator.network([z, labels] if generator.labels else z, training=False)
        pixels = tf.reduce_mean(tf.square(images - target), axis=(1, 2, 3))
        return pixels, tf.reduce_mean(tf.square(extract_features(extractor, images) - target_features), axis=1)

    means = [tf.reduce_mean(part) for part in parts(samples, their_labels)]

    @tf.function(autograph=False, reduce_retracing=True)
    def distance(z, labels=None):
        return sum(part / mean for part, mean in zip(parts(z, labels), means, strict=True)) / 2

    return distance


def extract_features(extractor: FeatureExtractor, images):
    """Computes features of float32 images in [-1, 1] with a gradient: resized by TensorFlow, not by Pillow."""
    resized = tf.image.resize(images, (extractor.size, extractor.size), "bicubic", antialias=True)
    return extractor.forward(127.5 * (resized + 1))


def build_step(z: tf.Variable, distance: Callable, distribution: str) -> Callable:
    """Returns a function that updates each row of the noise `z` by one step of gradient descent."""
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS[-1])
    optimizer = keras.optimizers.Adam(schedule, beta_2=0.99)
    optimizer.build([z])

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(distance(z) + PENALTY_WEIGHT * noise_penalty(z, distribution))
        optimizer.apply([tape.gradient(loss, z)], [z])
        if distribution == "uniform":
            z.assign(tf.clip_by_value(z, -1.0, 1.0))

    return step


def noise_penalty(z, distribution: str):
    """Computes how unlikely each row of noise is, (n,): the square of its mean square less 1, which normal noise has.

    Uniform noise has no penalty; it is clipped to its cube.
    """
    if distribution == "uniform":
        return tf.zeros(z.shape[0])
    return tf.square(tf.reduce_mean(tf.square(z), axis=list(range(1, z.shape.rank))) - 1)
