"""The SAN head: one logit in two parts, each with a gradient of its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gan.config import SAN_LOSSES
from gan.errors import UsageError
from gan.training.losses import LOSSES, direction_loss
from models import DISCRIMINATORS
from models.heads import split_logits


@pytest.mark.parametrize(
    ("name", "labels"), [*((name, 0) for name in DISCRIMINATORS), ("conv", 2), ("self-modulated", 2)]
)
def test_values_are_the_logits(name, labels):
    """Both parts have the value of the discriminator's own logits; an auxiliary classifier's come along."""
    keras.utils.set_random_seed(0)
    images = tf.random.stateless_normal((4, 16, 16, 3), (0, 1))
    given = [images, tf.constant([[1.0, 0.0], [0.0, 1.0]] * 2)] if labels else images
    discriminator = DISCRIMINATORS[name]((16, 16, 3), 4, labels=labels)
    parts, classes = split_logits(discriminator)(given, training=False)
    for part in parts:
        np.testing.assert_allclose(part, discriminator(given, training=False), atol=1e-5)
    assert classes is None
    if labels:
        discriminator = DISCRIMINATORS[name]((16, 16, 3), 4, labels=labels, auxiliary=True)
        given = given if len(discriminator.inputs) == 2 else images
        parts, classes = split_logits(discriminator)(given, training=False)
        np.testing.assert_allclose(parts[0], discriminator(given, training=False)[0], atol=1e-5)
        np.testing.assert_allclose(classes, discriminator(given, training=False)[1], atol=1e-5)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_one_label_and_a_spectral_norm(name):
    """A layer of labels may have one unit, as the head has; the kernel of a head may be divided by its norm."""
    spectral = {} if name == "residual-free" else {"normalization": "spectral"}
    images, labels = tf.random.stateless_normal((4, 16, 16, 3), (0, 1)), tf.constant([[1.0], [0.0], [1.0], [1.0]])
    for auxiliary in (False, True):
        discriminator = DISCRIMINATORS[name]((16, 16, 3), 4, labels=1, auxiliary=auxiliary, **spectral)
        given = [images, labels] if len(discriminator.inputs) == 2 else images
        parts, classes = split_logits(discriminator)(given, training=False)
        logits = discriminator(given, training=False)
        for part in parts:
            np.testing.assert_allclose(part, logits[0] if auxiliary else logits, atol=1e-5)
        assert (classes is not None) == auxiliary


def test_gradients_by_hand():
    """Of w = (3, 4), b = 1, h = (1, 2): the function moves h by w, and w by its length alone; the direction turns w."""
    discriminator = keras.Sequential([keras.Input((2,)), layers.Dense(2, use_bias=False), layers.Dense(1)])
    discriminator.set_weights([np.eye(2), np.array([[3.0], [4.0]]), np.array([1.0])])
    weights = [weight.value for weight in discriminator.weights]
    with tf.GradientTape(persistent=True) as tape:
        (function, direction), _ = split_logits(discriminator)(tf.constant([[1.0, 2.0]]))
    assert float(function[0, 0]) == pytest.approx(12) and float(direction[0, 0]) == pytest.approx(12)
    below, head, bias = tape.gradient(function, weights)
    np.testing.assert_allclose(below, [[3, 4], [6, 8]], rtol=1e-5)  # x times w
    np.testing.assert_allclose(head, [[2.2 * 0.6], [2.2 * 0.8]], rtol=1e-5)  # <h, w / |w|> w / |w|
    assert float(bias[0]) == 1
    below, head, bias = tape.gradient(direction, weights)
    np.testing.assert_allclose(head, [[1 - 2.2 * 0.6], [2 - 2.2 * 0.8]], rtol=1e-4)  # h without its part along w
    assert below is None and bias is None


def test_heads_that_cannot_be_split():
    """A network whose logits are no product of features and weights is refused."""
    with pytest.raises(UsageError, match="dense"):
        split_logits(keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(1, 4), layers.Flatten()]))


def test_direction_loss_by_hand():
    """The mean over fakes less that over real images: each plain, or weighted by how fast the loss falls there."""
    real, fake = np.array([[2.0], [4.0]], "float32"), np.array([[-1.0], [1.0]], "float32")
    assert float(direction_loss(LOSSES["hinge"].slope, real, fake)) == pytest.approx(-3)

    def mean(x):
        weights = 1 / (1 + np.exp(x))
        return float((weights * x).sum() / weights.sum())

    found = direction_loss(LOSSES["cross-entropy"].slope, real, fake)
    assert float(found) == pytest.approx(mean(fake) - mean(real), rel=1e-5)


@pytest.mark.parametrize("name", SAN_LOSSES)
def test_slopes(name):
    """The slope is how fast the generator's loss falls with a logit."""
    logits = tf.constant([[-2.0], [0.3], [5.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = LOSSES[name].generator(None, logits)
    np.testing.assert_allclose(LOSSES[name].slope(logits), -3 * tape.gradient(loss, logits), rtol=1e-5)
