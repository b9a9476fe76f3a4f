"""The SAN head: splits the weights of a discriminator's last layer into their direction and their length.

    split = split_logits(discriminator)
    (function, direction), class_logits = split([images, labels])

A logit is <w, h> + b = |w| <w / |w|, h> + b. Both logits have that value. Gradients of `function` reach the features h,
|w| and b, and those of `direction` reach w / |w| alone, so that each can be trained by a loss of its own. Slicing
adversarial networks, arXiv:2301.12811. Weights and logits are those of the discriminator itself.
"""

import keras
import tensorflow as tf
from keras import layers

from gan.errors import UsageError
from models.layers import SpectralNormalization


def split_logits(discriminator: keras.Model):
    """Returns a function of a discriminator's input -> ((function, direction), class logits or None), the two (n, 1).

    Where labels are projected on the features, each image has the direction of its label.

    Raises:
        UsageError: where the logits do not come from a `Dense` layer of one unit.
    """
    named = {layer.name: layer for layer in discriminator.layers}
    projection, classes = named.get("projection"), named.get("classes")
    heads = [layer for layer in discriminator.layers if is_head(layer)]
    if len(heads) != 1:
        raise UsageError("--head san: the logits of this --discriminator do not come from one dense layer.")
    head = heads[0]
    outputs = {"features": head.input} | ({"classes": classes.output} if classes else {})
    features = keras.Model(discriminator.inputs, outputs)

    def split(inputs, training=True):
        outputs = features(inputs, training=training)
        h = tf.cast(outputs["features"], tf.float32)
        kernel, bias = get_kernel(head), tf.convert_to_tensor(unwrap(head).bias)
        weights = tf.transpose(kernel)  # (1, d), or (n, d) where each label has its own
        if projection is not None:
            weights += tf.matmul(tf.cast(inputs[1], tf.float32), tf.convert_to_tensor(projection.kernel))
        scale = tf.sqrt(tf.reduce_sum(weights**2, axis=1, keepdims=True) + 1e-12)
        direction, scaled = weights / scale, scale * h
        function = tf.reduce_sum(scaled * tf.stop_gradient(direction), axis=1, keepdims=True) + bias
        bias = tf.stop_gradient(bias)
        direction_logits = tf.reduce_sum(tf.stop_gradient(scaled) * direction, axis=1, keepdims=True) + bias
        return (function, direction_logits), outputs.get("classes")

    return split


def unwrap(layer):
    """Returns the layer whose kernel has a spectral norm, or the layer itself."""
    return layer.layer if isinstance(layer, SpectralNormalization) else layer


def is_head(layer) -> bool:
    """Tests whether a layer gives logits (n, 1) from features; one of labels may have one unit, too."""
    dense = unwrap(layer)
    return type(dense) is layers.Dense and dense.units == 1 and layer.name not in ("embedding", "classes", "projection")


def get_kernel(layer):
    """Returns the kernel (d, 1) that a layer multiplies with: divided by its spectral norm where it has one.

    The vector of that norm is not moved: of a kernel with one column, any vector gives the norm exactly.
    """
    if isinstance(layer, SpectralNormalization):
        return layer.normalize_kernel()[0]
    return tf.convert_to_tensor(layer.kernel)
