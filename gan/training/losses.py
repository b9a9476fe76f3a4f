"""Adversarial losses: pairs of pure functions of logits, high for real.

loss = LOSSES["cross-entropy"]
d_loss = loss.discriminator(real_logits, fake_logits, smoothing=0.0)
g_loss = loss.generator(fake_logits)
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Loss(NamedTuple):
    """What each player descends, and how a logit reads as an opinion (1 real, 0 fake) in the log."""

    discriminator: Callable  # (real_logits, fake_logits, smoothing) -> ()
    generator: Callable  # (fake_logits) -> ()
    opinion: Callable  # (logits) -> same shape


def cross_entropy_d(real_logits, fake_logits, smoothing=0.0):
    """-mean[t log D(x) + (1 - t) log(1 - D(x))] - mean log(1 - D(G(z))), t = 1 - smoothing. arXiv:1406.2661.

    Only the real targets are smoothed: smoothing the fake ones would reward fakes where data are rare
    (arXiv:1606.03498, section 3.4).
    """
    real = tf.nn.sigmoid_cross_entropy_with_logits(tf.ones_like(real_logits) * (1.0 - smoothing), real_logits)
    return tf.reduce_mean(real) + tf.reduce_mean(tf.nn.softplus(fake_logits))


def cross_entropy_g(fake_logits):
    """-mean log D(G(z)), the non-saturating form; never smoothed. arXiv:1406.2661, section 3."""
    return tf.reduce_mean(tf.nn.softplus(-fake_logits))


def least_squares_d(real_logits, fake_logits, smoothing=0.0):
    """mean (D(x) - (1 - smoothing))^2 + mean D(G(z))^2, without the paper's halves. arXiv:1611.04076, eq. 9."""
    return tf.reduce_mean((real_logits - (1.0 - smoothing)) ** 2) + tf.reduce_mean(fake_logits**2)


def least_squares_g(fake_logits):
    """mean (D(G(z)) - 1)^2, without the paper's half. arXiv:1611.04076, eq. 9."""
    return tf.reduce_mean((fake_logits - 1.0) ** 2)


LOSSES = {
    "cross-entropy": Loss(cross_entropy_d, cross_entropy_g, tf.nn.sigmoid),
    "least-squares": Loss(least_squares_d, least_squares_g, tf.identity),
}
