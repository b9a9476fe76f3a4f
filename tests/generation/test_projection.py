"""The noise behind a face, on a generator of one layer, where it can be found."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from gan.generation import noise, projection
from gan.images import to_uint8


class Layer:
    """Noise (n, 6) -> faces of 8 x 8."""

    size, noise_shape = 8, (6,)
    weights = np.random.default_rng(1).normal(0, 0.4, (6, 192)).astype(np.float32)

    def __init__(self, law):
        self.law = law

    def draw(self, z):
        return tf.reshape(tf.tanh(tf.convert_to_tensor(z) @ self.weights), (-1, 8, 8, 3))

    def __call__(self, z):
        return to_uint8(self.draw(z).numpy())


NETWORK = SimpleNamespace(size=4, forward=lambda images: tf.reshape(images, (tf.shape(images)[0], 48)) / 127.5 - 1)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Fewer candidates and steps."""
    for name, value in {"CANDIDATES": 100, "STARTS": 4, "STEPS": (0, 20, 120)}.items():
        monkeypatch.setattr(projection, name, value)


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_finds_its_own_face(law):
    """From the best of a hundred, a third of chance or so, down to next to nothing; the same again the second time."""
    generator = Layer(law)
    [photo] = generator(noise.sample_noise([5000], (6,), law))
    found = projection.project(generator, NETWORK, photo)
    assert found.noise.shape == (1, 6) and found.faces.shape == (3, 8, 8, 3)
    assert 1 > found.distances[0] > found.distances[1] > found.distances[2] and found.distances[2] < 0.01
    assert np.abs(found.faces[-1].astype(int) - photo).max() < 16
    np.testing.assert_array_equal(generator(found.noise)[0], found.faces[-1])
    if law == "uniform":
        assert np.abs(found.noise).max() <= 1
    np.testing.assert_array_equal(projection.project(generator, NETWORK, photo).noise, found.noise)


def test_chance_is_one():
    """Faces at random are as far from a photograph as faces at random are."""
    generator = Layer("normal")
    samples = noise.sample_noise(range(100), (6,), "normal")
    distance = projection.build_distance(generator, NETWORK, np.zeros((8, 8, 3), np.uint8), samples)
    assert distance(samples).numpy().mean() == pytest.approx(1, rel=1e-5)


def test_strangeness():
    """None for a mean square of 1; (4 - 1) squared for twice the noise; uniform noise cannot be strange."""
    z = tf.constant([[1.0, -1.0], [2.0, -2.0]])
    np.testing.assert_allclose(projection.noise_penalty(z, "normal"), [0, 9])
    np.testing.assert_allclose(projection.noise_penalty(z, "uniform"), [0, 0])
    assert projection.noise_penalty(tf.ones((3, 4, 4, 3)), "normal").shape == (3,)
