"""Penalties on the discriminator: pure functions (judge, real, fake) -> (), high where it is too steep."""

import tensorflow as tf


def none(judge, real, fake):
    """No penalty."""
    return tf.zeros([])


def r1(judge, real, fake):
    """mean |grad D(x)|^2 / 2 at real images (n, h, w, c). arXiv:1801.04406, eq. 9, without its weight."""
    with tf.GradientTape() as tape:
        tape.watch(real)
        logits = tf.reduce_sum(judge(real))  # the sum's gradient holds each row's own, unless batch norm mixes rows
    slope = tape.gradient(logits, real)
    return tf.reduce_mean(tf.reduce_sum(slope**2, axis=[1, 2, 3])) / 2


REGULARIZERS = {"none": none, "r1": r1}
