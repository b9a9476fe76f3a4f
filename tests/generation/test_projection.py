"""Projection with a generator of one layer, in which the noise of an image can be found."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from gan.generation import projection
from gan.generation.generator import Generator
from gan.labels import Attribute, Labels

EXTRACTOR = SimpleNamespace(size=4, forward=lambda images: tf.reshape(images, (tf.shape(images)[0], 48)) / 127.5 - 1)


class Layer:
    """A network, noise (n, 6) -> images of 8 x 8."""

    input_shape, output_shape = (None, 6), (None, 8, 8, 3)
    weights = np.random.default_rng(1).normal(0, 0.4, (6, 192)).astype(np.float32)

    def __call__(self, noise, training):
        return tf.reshape(tf.tanh(tf.convert_to_tensor(noise) @ self.weights), (-1, 8, 8, 3))


def build_generator(distribution):
    """A generator of that network."""
    return Generator(Layer(), SimpleNamespace(noise_distribution=distribution), None, 1)


@pytest.fixture(autouse=True)
def shorter_search(monkeypatch):
    """A search with fewer candidates and steps."""
    for name, value in {"CANDIDATES": 100, "STARTS": 4, "STEPS": (0, 20, 120)}.items():
        monkeypatch.setattr(projection, name, value)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_finds_a_generated_image(distribution):
    """The distance falls from that of the best candidate to nearly 0, and the search is reproducible."""
    generator = build_generator(distribution)
    [photo] = generator.generate_seeds([5000])
    found = projection.project(generator, EXTRACTOR, photo)
    assert found.noise.shape == (1, 6) and found.images.shape == (3, 8, 8, 3)
    assert 1 > found.distances[0] > found.distances[1] > found.distances[2] and found.distances[2] < 0.01
    assert np.abs(found.images[-1].astype(int) - photo).max() < 16
    np.testing.assert_array_equal(generator(found.noise)[0], found.images[-1])
    if distribution == "uniform":
        assert np.abs(found.noise).max() <= 1
    np.testing.assert_array_equal(projection.project(generator, EXTRACTOR, photo).noise, found.noise)


def test_labels_stay():
    """Of a generator with labels, the noise is searched for, and each candidate keeps its labels."""

    class Labelled(Layer):
        input_shape = ((None, 6), (None, 2))

        def __call__(self, inputs, training):
            noise, labels = inputs
            return super().__call__(tf.concat([noise[:, :4], labels], axis=1), training)

    labels = Labels((Attribute("class", ("a", "b")),), np.array([[0], [1]], np.int32))
    generator = Generator(Labelled(), SimpleNamespace(noise_distribution="normal"), None, 1, labels)
    [photo] = generator.generate_seeds([5000])
    found = projection.project(generator, EXTRACTOR, photo)
    assert found.distances[0] > found.distances[1] > found.distances[2] and found.codes.shape == (1, 1)
    np.testing.assert_array_equal(generator(found.noise, found.codes)[0], found.images[-1])


def test_mean_distance_of_random_samples_is_1():
    """So a distance says how much nearer than chance an image is."""
    generator = build_generator("normal")
    samples = generator.sample_noise(range(100))
    distance = projection.build_distance(generator, EXTRACTOR, np.zeros((8, 8, 3), np.uint8), samples)
    assert distance(samples).numpy().mean() == pytest.approx(1, rel=1e-5)


def test_noise_penalty():
    """It is 0 at a mean square of 1, and (4 - 1) squared at 4; uniform noise has none."""
    z = tf.constant([[1.0, -1.0], [2.0, -2.0]])
    np.testing.assert_allclose(projection.noise_penalty(z, "normal"), [0, 9])
    np.testing.assert_allclose(projection.noise_penalty(z, "uniform"), [0, 0])
    assert projection.noise_penalty(tf.ones((3, 4, 4, 3)), "normal").shape == (3,)
