"""Adversarial losses: pairs of pure functions of the discriminator's logits, high for real.

    loss = LOSSES["cross-entropy"]
    d_loss = loss.discriminator(real_logits, fake_logits)
    g_loss = loss.generator(real_logits, fake_logits)

To add one, write its two functions, a row of `LOSSES` with one of the `..._scores`, and its name in
gan/config.py: in `LOSSES`, and where they apply in `SMOOTHABLE_LOSSES` and `SAN_LOSSES`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from gan.replicas import count_replicas, sum_over_replicas


class Loss(NamedTuple):
    """The losses of both networks, and how their logits read in the log.

    `discriminator` and `generator` map (real_logits, fake_logits), each (n, 1), to a scalar to minimize. `scores` maps
    the same to real and fake scores (n, 1) on one scale: 1 is what a perfect discriminator gives real images, 0 what
    it gives fakes. `generator_uses_real` says that the generator's loss depends on the real logits, which then cost
    one more pass of the discriminator. `slope` maps logits to how fast the generator's loss of them falls, for
    `direction_loss`; None: it may rise, or a fake's loss does not depend on its own logit alone.
    """

    discriminator: Callable
    generator: Callable
    scores: Callable
    generator_uses_real: bool = False
    slope: Callable | None = None

    def smoothed(self, smoothing: float) -> "Loss":
        """The same loss with real targets of 1 - smoothing, one of `SMOOTHABLE_LOSSES` unless that is 0."""
        if not smoothing:
            return self
        return self._replace(discriminator=functools.partial(self.discriminator, smoothing=smoothing))


def cross_entropy_d(real_logits, fake_logits, smoothing=0.0):
    """-mean[t log D(x) + (1 - t) log(1 - D(x))] - mean log(1 - D(G(z))), t = 1 - smoothing. arXiv:1406.2661.

    Only the real targets are smoothed: smoothing the fake ones would reward fakes where data are rare
    (arXiv:1606.03498, section 3.4).
    """
    real = tf.nn.sigmoid_cross_entropy_with_logits(tf.ones_like(real_logits) * (1.0 - smoothing), real_logits)
    return tf.reduce_mean(real) + tf.reduce_mean(tf.nn.softplus(fake_logits))


def cross_entropy_g(real_logits, fake_logits):
    """-mean log D(G(z)), the non-saturating form; never smoothed. arXiv:1406.2661, section 3."""
    return tf.reduce_mean(tf.nn.softplus(-fake_logits))


def least_squares_d(real_logits, fake_logits, smoothing=0.0):
    """mean (D(x) - (1 - smoothing))^2 + mean D(G(z))^2, without the paper's halves. arXiv:1611.04076, eq. 9."""
    return tf.reduce_mean((real_logits - (1.0 - smoothing)) ** 2) + tf.reduce_mean(fake_logits**2)


def least_squares_g(real_logits, fake_logits):
    """mean (D(G(z)) - 1)^2, without the paper's half. arXiv:1611.04076, eq. 9."""
    return tf.reduce_mean((fake_logits - 1.0) ** 2)


def hinge_d(real_logits, fake_logits):
    """mean max(0, 1 - D(x)) + mean max(0, 1 + D(G(z))). arXiv:1705.02894, section 3; arXiv:1802.05957, eq. 16."""
    return tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(tf.nn.relu(1.0 + fake_logits))


def hinge_g(real_logits, fake_logits):
    """-mean D(G(z)), also Wasserstein's. arXiv:1705.02894, section 3; arXiv:1701.07875, algorithm 1."""
    return -tf.reduce_mean(fake_logits)


def relativistic_d(real_logits, fake_logits):
    """mean softplus(-(D(x) - D(G(z)))), a pair at a time. arXiv:1807.00734; arXiv:2501.05441, eq. 2."""
    return tf.reduce_mean(tf.nn.softplus(fake_logits - real_logits))


def relativistic_g(real_logits, fake_logits):
    """mean softplus(-(D(G(z)) - D(x))), the discriminator's loss with the pair exchanged. arXiv:2501.05441, eq. 2."""
    return tf.reduce_mean(tf.nn.softplus(real_logits - fake_logits))


def direction_loss(slope, real_logits, fake_logits):
    """The loss of the direction w of logits (n, 1) <w, h>: how far real features lie ahead of fakes' along it.

    It is the weighted mean of the fakes' logits minus that of the real images' logits. The weight of an image is
    `slope` of its logit, divided by the mean of these over the whole batch: images count as much as they would move the
    generator. The weights are not trained. A constant slope, as of the hinge loss, gives Wasserstein's loss. SAN,
    arXiv:2301.12811.
    """

    def weighted_mean(logits):
        weights = slope(tf.stop_gradient(logits))
        mean = sum_over_replicas(tf.reduce_mean(weights)) / count_replicas()
        return tf.reduce_mean(weights * logits) / tf.maximum(mean, 1e-12)

    return weighted_mean(fake_logits) - weighted_mean(real_logits)


def cross_entropy_slope(logits):
    """sigmoid(-D(x)), the slope of -log D(x)."""
    return tf.nn.sigmoid(-logits)


def wasserstein_d(real_logits, fake_logits):
    """mean D(G(z)) - mean D(x); the discriminator is a critic, which a penalty keeps 1-Lipschitz. arXiv:1701.07875."""
    return tf.reduce_mean(fake_logits) - tf.reduce_mean(real_logits)


def classification_loss(labels, logits, sizes: list[int]):
    """The mean over images of the cross-entropy of labels (n, k), summed over attributes. arXiv:1610.09585, section 3.

    Arguments:
        logits: (n, k), predicted.
        sizes: columns of each attribute: one, which is yes or no, or one for each of its values.
    """
    total = 0.0
    for target, predicted in zip(tf.split(labels, sizes, axis=1), tf.split(logits, sizes, axis=1), strict=True):
        if target.shape[1] == 1:
            total += tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(target, predicted))
        else:
            total += tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, predicted))
    return total


def pair_scores(real_logits, fake_logits):
    """The probability that an image is the more realistic one of its pair; a single logit means nothing here."""
    return tf.nn.sigmoid(real_logits - fake_logits), tf.nn.sigmoid(fake_logits - real_logits)


def margin_scores(real_logits, fake_logits):
    """Logits clipped to the margins of the hinge, -1 and 1, and mapped to 0 to 1."""
    return tuple(tf.clip_by_value(logits, -1.0, 1.0) / 2 + 0.5 for logits in (real_logits, fake_logits))


def sigmoid_scores(real_logits, fake_logits):
    """The probabilities of being real: sigmoid of each logit."""
    return tf.nn.sigmoid(real_logits), tf.nn.sigmoid(fake_logits)


def plain_scores(real_logits, fake_logits):
    """The logits themselves, for losses whose targets are 1 and 0."""
    return real_logits, fake_logits


LOSSES = {
    "cross-entropy": Loss(cross_entropy_d, cross_entropy_g, sigmoid_scores, slope=cross_entropy_slope),
    "least-squares": Loss(least_squares_d, least_squares_g, plain_scores),
    "hinge": Loss(hinge_d, hinge_g, margin_scores, slope=tf.ones_like),
    "relativistic": Loss(relativistic_d, relativistic_g, pair_scores, generator_uses_real=True),
    "wasserstein": Loss(wasserstein_d, hinge_g, pair_scores, slope=tf.ones_like),
}
