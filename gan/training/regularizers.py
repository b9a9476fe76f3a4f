"""Regularizers of the discriminator: pure functions (discriminate, real, fake) -> scalar, high where it is too steep.

    penalty = REGULARIZERS["r1"](lambda images: discriminator(images, training=True), real, fake)

`real` and `fake` are images (n, h, w, c) in [-1, 1].
To add one, write its function, a row of `REGULARIZERS`, and its name in gan/config.py.
"""

import tensorflow as tf


def r1(discriminate, real, fake):
    """mean |grad D(x)|^2 / 2 at real images. arXiv:1801.04406, eq. 9, without its weight."""
    return half_squared_slope(discriminate, real)


def r2(discriminate, real, fake):
    """mean |grad D(G(z))|^2 / 2 at fakes. arXiv:1801.04406, eq. 10, without its weight."""
    return half_squared_slope(discriminate, fake)


def r1_and_r2(discriminate, real, fake):
    """The sum of both, which the relativistic loss needs to converge. arXiv:2501.05441, section 2.2."""
    return r1(discriminate, real, fake) + r2(discriminate, real, fake)


def half_squared_slope(discriminate, images):
    """mean |grad D|^2 / 2 at images (n, h, w, c)."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = tf.reduce_sum(discriminate(images))  # its gradient holds each row's own, unless batch norm mixes rows
    slope = tape.gradient(logits, images)
    return tf.reduce_mean(tf.reduce_sum(slope**2, axis=[1, 2, 3])) / 2


REGULARIZERS = {"none": None, "r1": r1, "r2": r2, "r1+r2": r1_and_r2}
