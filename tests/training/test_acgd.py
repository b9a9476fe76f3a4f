import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import eager
from keras import layers

from dcgan import DCGAN, NOISE_DISTRIBUTIONS
from gan import experiment
from gan.config import Config
from gan.errors import UsageError
from gan.training import acgd
from gan.training.acgd import SecondMoments, conjugate_gradients, find_equilibrium
from gan.training.losses import LOSSES


def solve(g_gradient, d_gradient, mixed, g_rate, d_rate):
    """The equilibrium of the local game by one dense linear system: both players' conditions at once.

    Of x: gx + Dxy dy + dx / Ax = 0. Of y: gy + Dyx dx - dy / Ay = 0.
    """
    system = np.block([[np.diag(1 / g_rate), mixed], [mixed.T, -np.diag(1 / d_rate)]])
    return np.split(np.linalg.solve(system, -np.concatenate([g_gradient, d_gradient])), [len(g_rate)])


def test_steps_are_the_equilibrium_of_the_local_game(monkeypatch):
    """Of random gradients, mixed derivatives and rates, the steps are those of a dense linear system."""
    monkeypatch.setattr(acgd, "TOLERANCE", 1e-10)
    rng = np.random.default_rng(0)
    given = rng.normal(size=6), rng.normal(size=4), rng.normal(size=(6, 4)), rng.random(6) + 0.1, rng.random(4) + 0.1
    g_gradient, d_gradient, mixed, g_rate, d_rate = map(tf.constant, given)
    *steps, count = find_equilibrium(
        g_gradient, d_gradient, lambda v: tf.linalg.matvec(mixed, v),
        lambda v: tf.linalg.matvec(mixed, v, transpose_a=True), g_rate, d_rate,
    )  # fmt: skip
    for step, expected in zip(steps, solve(*given), strict=True):
        np.testing.assert_allclose(step, expected, rtol=1e-6)
    assert 1 < int(count) <= 7


def test_bilinear_game():
    """Of f = x y, a step multiplies the distance from the equilibrium by 1 / sqrt(1 + rate^2).

    Descent and ascent at the same time would multiply it by sqrt(1 + rate^2). arXiv:1905.12103, section 2.
    """
    rate, x, y = tf.constant([0.5], tf.float64), tf.constant([1.0], tf.float64), tf.constant([2.0], tf.float64)
    for n in range(1, 20):
        g_step, d_step, _ = find_equilibrium(y, x, tf.identity, tf.identity, rate, rate)
        x, y = x + g_step, y + d_step
        assert float(x[0] ** 2 + y[0] ** 2) == pytest.approx(5 / 1.25**n, rel=1e-6)


def test_conjugate_gradients_stop():
    """The identity takes one iteration; a right-hand side of 0 takes none, and gives 0."""
    x, count = conjugate_gradients(tf.identity, tf.constant([3.0, 4.0]))
    np.testing.assert_array_equal(x, [3, 4])
    assert int(count) == 1
    x, count = conjugate_gradients(tf.identity, tf.zeros(2))
    assert int(count) == 0 and not np.any(x)


def test_rates_by_hand():
    """Gradients 2 and 1 with beta 0.5: v = 4, then (0.25 * 4 + 0.5 * 1) / 0.75 = 2."""
    weight, optimizer = keras.Variable([0.0]), SecondMoments(0.1, 0.5, epsilon=0.0)
    optimizer.build([weight])
    for gradient, v in ((2.0, 4.0), (1.0, 2.0)):
        [rate] = optimizer.update_rates([tf.constant([gradient])], [weight])
        np.testing.assert_allclose(rate, [0.1 / np.sqrt(v)], rtol=1e-6)


def test_train_step_by_hand(monkeypatch):
    """A step of a linear generator and critic is the equilibrium of f = w . (mean x - (K^T mean z + b)).

    f is linear in each network's weights, so the dense system has all of its mixed derivatives.
    """
    monkeypatch.setattr(acgd, "TOLERANCE", 1e-6)
    keras.utils.set_random_seed(0)
    generator = keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Reshape((1, 1, 3))])
    critic = keras.Sequential([keras.Input((1, 1, 3)), layers.Flatten(), layers.Dense(1, use_bias=False)])
    gan = DCGAN(
        generator, critic, g_optimizer=SecondMoments(0.3, 0.9), d_optimizer=SecondMoments(0.2, 0.9),
        loss=LOSSES["wasserstein"], noise=NOISE_DISTRIBUTIONS["normal"], seed=3,
    )  # fmt: skip
    real = tf.constant(np.random.default_rng(1).normal(size=(4, 1, 1, 3)), tf.float32)
    z, x = gan.sample_noise(real, 0).numpy().mean(axis=0), real.numpy().mean(axis=(0, 1, 2))
    kernel, bias = generator.get_weights()
    w = critic.get_weights()[0][:, 0]
    d_gradient = x - z @ kernel - bias
    g_gradient = np.concatenate([-np.outer(z, w).ravel(), -w])
    mixed = -np.concatenate([np.kron(z[:, None], np.eye(3)), np.eye(3)])
    rates = [rate / (np.abs(g) + 1e-5) for rate, g in ((0.3, g_gradient), (0.2, d_gradient))]
    g_step, d_step = solve(g_gradient, d_gradient, mixed, *rates)
    scalars = gan.train_step((real, tf.zeros((4, 0))))
    assert float(scalars["d_loss"]) == pytest.approx(-w @ d_gradient, rel=1e-4) and scalars["cg_steps"] > 0
    np.testing.assert_allclose(generator.get_weights()[0], kernel + g_step[:6].reshape(2, 3), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(generator.get_weights()[1], bias + g_step[6:], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(critic.get_weights()[0][:, 0], w + d_step, rtol=1e-3, atol=1e-4)


SMALL = {
    "image_size": 8, "noise_size": 4, "width": 2, "batch_size": 4, "precision": "float32", "optimizer": "acgd",
    "ema_half_life": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_our_networks(monkeypatch, compiled):
    """Two steps of the default pair change all of its weights but for those that have no gradient, finitely."""
    if not compiled:
        monkeypatch.setattr(acgd, "ITERATIONS", 2)
    gan = experiment.build_gan(Config(**SMALL, penalty="none"))
    before = gan.generator.get_weights() + gan.discriminator.get_weights()
    real = tf.constant(np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)), tf.float32)
    with contextlib.nullcontext() if compiled else eager():
        for _ in range(2):
            scalars = gan.train_step((real, tf.zeros((4, 0))))
    after = gan.generator.get_weights() + gan.discriminator.get_weights()
    assert np.isfinite([float(value) for value in scalars.values()]).all()
    assert np.mean([not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]) > 0.8
    assert float(scalars["g_loss"]) == -float(scalars["d_loss"]) and int(gan.iteration) == 2


@pytest.mark.parametrize(
    "settings",
    [{}, {"upsampling": "bilinear"}, {"generator": "residual-free"}, {"generator": "conv"}, {"palette": 3}],
    ids=str,
)
def test_mixed_derivatives_are_transposes(monkeypatch, settings):
    """The product u . (D_gd v) is v . (D_dg u) for all of our networks: no path from one to the other is left out."""
    found = []

    def find_equilibrium(g_gradient, d_gradient, mixed_gd, mixed_dg, *rates):
        u, v = (tf.random.stateless_normal(each.shape, (0, i)) for i, each in enumerate((g_gradient, d_gradient)))
        found.append([float(tf.tensordot(u, mixed_gd(v), 1)), float(tf.tensordot(v, mixed_dg(u), 1))])
        return tf.zeros_like(g_gradient), tf.zeros_like(d_gradient), tf.constant(0)

    monkeypatch.setattr(acgd, "find_equilibrium", find_equilibrium)
    gan = experiment.build_gan(Config(**{**SMALL, "image_size": 16, "penalty": "none", **settings}))
    keras.utils.set_random_seed(0)
    for variable in gan.generator.trainable_variables + gan.discriminator.trainable_variables:
        variable.assign_add(tf.random.normal(variable.shape, stddev=0.1))
    real = tf.constant(np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)), tf.float32)
    acgd.train_step(gan, real, tf.zeros((4, 0)))
    assert abs(found[0][0]) > 1e-3 and found[0][0] == pytest.approx(found[0][1], rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "--penalty none"),
        ({"penalty": "none", "precision": "mixed_bfloat16"}, "--precision float32"),
        ({"penalty": "none", "discriminator_steps": 2}, "--discriminator-steps 1"),
        ({"penalty": "none", "beta_schedule": "linear"}, "--beta-schedule constant"),
        ({"penalty": "none", "head": "san"}, "--head linear"),
        ({"penalty_weight": 0.0, "penalty_schedule": "linear", "final_penalty_weight": 0.1}, "--penalty none"),
        ({"penalty": "none", "generator_optimizer": "sgd"}, "--generator-optimizer adam"),
    ],
)
def test_what_does_not_go_with_it(settings, words):
    """What the game does not have is refused with what to type."""
    with pytest.raises(UsageError, match=words):
        experiment.build_gan(Config(**{**SMALL, **settings}))
