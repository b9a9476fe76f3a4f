"""Regularizers of the discriminator: pure functions (discriminate, real, fake) -> scalar, high where it is too steep.

    penalty = REGULARIZERS["r1"](lambda images: discriminator(images, training=True), real, fake)

`real` and `fake` are images (n, h, w, c) in [-1, 1]. A regularizer with random numbers has a fourth argument, `seed`,
int64 (2,), which alone decides them. To add one, write its function, a row of `REGULARIZERS`, and its name in
gan/config.py. A `Penalty` says how much it counts, how often it is computed, and for what share of the batch.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from gan.replicas import count_replicas, draw_part


def r1(discriminate, real, fake):
    """mean |grad D(x)|^2 / 2 at real images. arXiv:1801.04406, eq. 9, without its weight."""
    return half_squared_slope(discriminate, real)


def r2(discriminate, real, fake):
    """mean |grad D(G(z))|^2 / 2 at fakes. arXiv:1801.04406, eq. 10, without its weight."""
    return half_squared_slope(discriminate, fake)


def r1_and_r2(discriminate, real, fake):
    """The sum of both, which arXiv:2501.05441, section 2.2, recommends for the relativistic loss."""
    return r1(discriminate, real, fake) + r2(discriminate, real, fake)


def half_squared_slope(discriminate, images):
    """mean |grad D|^2 / 2 at images (n, h, w, c)."""
    return tf.reduce_mean(squared_slopes(discriminate, images)) / 2


def squared_slopes(discriminate, images):
    """|grad D|^2 (n,) at images (n, h, w, c)."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = tf.reduce_sum(discriminate(images))  # its gradient holds each row's own, unless batch norm mixes rows
    return tf.reduce_sum(tape.gradient(logits, images) ** 2, axis=[1, 2, 3])


def gradient_penalty(discriminate, real, fake, seed):
    """mean (|grad D(x)| - 1)^2 at random points x between a real image and a fake each. arXiv:1704.00028, eq. 3.

    The 1e-12 under the root keeps second derivatives finite where the gradient is 0.
    """
    share = draw_part(lambda count: tf.random.stateless_uniform((count, 1, 1, 1), seed), tf.shape(real)[0])
    images = share * real + (1 - share) * fake
    return tf.reduce_mean((tf.sqrt(squared_slopes(discriminate, images) + 1e-12) - 1) ** 2)


REGULARIZERS = {"none": None, "r1": r1, "r2": r2, "r1+r2": r1_and_r2, "gradient": gradient_penalty}


class FiniteDifference(NamedTuple):
    """R1 and R2 without second derivatives, from how much logits differ at images and at a step from them.

    For v ~ N(0, I), the expectation of (v . grad D)^2 is |grad D|^2, so that ((D(x + s v) - D(x)) / s)^2 / 2 is an
    unbiased estimate of |grad D|^2 / 2 where D is linear within the step s; elsewhere it is the slope at the scale s.
    The approximated R1 of arXiv:2501.08316 is the mean of the squared difference between the logits of an image and of
    the image with noise of standard deviation s added to it: 2 s^2 times this.

    Arguments:
        at_fakes: where slopes are taken: at real images (False), at fakes (True), or at both.
        step: standard deviation of each color value's change.
    """

    at_fakes: tuple[bool, ...]
    step: float

    def direction(self, images, seed):
        """Random directions v, one for each of the images (n, h, w, c): the same in however many replicas."""
        return draw_part(
            lambda count: tf.random.stateless_normal((count, *images.shape[1:]), seed), tf.shape(images)[0]
        )

    def estimate(self, logits, near):
        """mean ((D(x + s v) - D(x)) / s)^2 / 2, from both logits (n, 1)."""
        return tf.reduce_mean(((near - logits) / self.step) ** 2) / 2


ESTIMATED_AT = {"r1": (False,), "r2": (True,), "r1+r2": (False, True)}  # those that finite differences can estimate
# The 0.01 of arXiv:2501.08316. Logits of bfloat16 networks are off by some 0.5%, which a larger step makes up for.
STEP, MIXED_STEP = 0.01, 0.1


@dataclass(frozen=True, eq=False)  # hashed by identity: `weight` may be a variable, which has no hash
class Penalty:
    """What is added to the discriminator's loss: a regularizer, how much it counts, and how often it is computed.

    Arguments:
        regularizer: one of `REGULARIZERS`, or a `FiniteDifference`.
        weight: a number, or a scalar variable where it changes in training. With 0 it is computed all the same.
        every: iterations from one penalty to the next, which then counts that many times. Lazy regularization,
            arXiv:1912.04958, section 3.1.
        share: share of the batch that the penalty sees, evenly spaced images.
    """

    regularizer: Callable | FiniteDifference
    weight: float | tf.Variable = 1.0
    every: int = 1
    share: float = 1.0

    @property
    def is_estimated(self) -> bool:
        """Whether finite differences estimate it, from logits that are computed anyway."""
        return isinstance(self.regularizer, FiniteDifference)

    @property
    def is_random(self) -> bool:
        """Whether the regularizer is a function that takes a `seed`."""
        return not self.is_estimated and "seed" in inspect.signature(self.regularizer).parameters

    def is_due(self, iteration: int) -> bool:
        """Whether an iteration, from 0, has a penalty."""
        return iteration % self.every == 0

    def choose_rows(self, count):
        """The rows, of `count` in this replica, that the penalty sees, evenly spaced and at least one; None: all.

        All replicas together choose as many as one device would.
        """
        if self.share == 1:
            return None
        wanted = tf.round(self.share * tf.cast(count * count_replicas(), tf.float64))
        chosen = tf.maximum(tf.cast(wanted, tf.int32) // count_replicas(), 1)
        return tf.range(chosen) * count // chosen
