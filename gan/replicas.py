"""Replicas: what the copies of a network, each with its part of the batch, compute as one would with the whole batch.

    noise = draw_part(lambda count: tf.random.stateless_normal((count, 128), seed), tf.shape(images)[0])
    mean = sum_over_replicas(tf.reduce_sum(x)) / (count_replicas() * n)

To be called within `tf.distribute.Strategy.run`. Anywhere else, and with one device, there is one replica, and nothing
is added to what it computes. Replica r of k has the rows r n / k to (r + 1) n / k of a batch of n.
"""

import tensorflow as tf


def count_replicas() -> int:
    """Counts the replicas that work on this batch together."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1  # None: outside of `run`, under a strategy


def sum_over_replicas(values):
    """Sums a tensor, or each of a list of tensors, over all replicas; every replica gets the same bits.

    It is differentiable any number of times: the gradient of a sum over replicas is one, too.
    """
    if count_replicas() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def gather_from_replicas(values):
    """Stacks the tensors that the replicas have, one shape for all, on a new first axis; differentiable like a sum."""
    if count_replicas() == 1:
        return values[None]
    row = tf.one_hot(replica_number(), count_replicas(), dtype=values.dtype)
    return sum_over_replicas(tf.tensordot(row, values, axes=0))


def replica_number():
    """The number of this replica among all that share the batch, from 0."""
    return tf.distribute.get_replica_context().replica_id_in_sync_group


def draw_part(draw, count):
    """Returns this replica's rows of random numbers that are the same however many replicas share the batch.

    `draw(n)` returns n rows; `count` is how many of them are this replica's.
    """
    replicas = count_replicas()
    if replicas == 1:
        return draw(count)
    number = replica_number()
    return draw(count * replicas)[number * count : (number + 1) * count]
