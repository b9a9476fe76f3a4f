"""The SAN head: tells the features of a discriminator from the direction in which its last layer looks at them.

    split = split_logits(discriminator)
    (function, direction), class_logits = split([images, labels])

A logit is <w, h> + b = |w| <w / |w|, h> + b. Of two logits of one value, `function` has a gradient in the features h,
in |w| and in b, and `direction` in w / |w| alone, so that each can be trained by a loss of its own. Slicing adversarial
networks, arXiv:2301.12811, section 5. Weights and logits are those of the discriminator itself.
"""

import keras
import tensorflow as tf
from keras import layers


def split_logits(discriminator: keras.Model):
    """Returns a function of a discriminator's input -> ((function, direction), class logits or None), the two (n, 1).

    Where labels are projected on the features, each image has the direction of its label.

    Raises:
        ValueError: where the logits do not come from a `Dense` layer of one unit.
    """
    classes = [layer for layer in discriminator.layers if layer.name == "classes"]
    projection = next((layer for layer in discriminator.layers if layer.name == "projection"), None)
    heads = [layer for layer in discriminator.layers if type(layer) is layers.Dense and layer.units == 1]
    heads = [layer for layer in heads if layer not in classes]
    if len(heads) != 1:
        raise ValueError("its logits do not come from one dense layer")
    head = heads[0]
    features = keras.Model(
        discriminator.inputs, {"features": head.input} | {each.name: each.output for each in classes}
    )

    def split(inputs, training=True):
        outputs = features(inputs, training=training)
        h = tf.cast(outputs["features"], tf.float32)
        weights = tf.transpose(tf.convert_to_tensor(head.kernel))  # (1, d), or (n, d) where each label has its own
        if projection is not None:
            weights += tf.matmul(tf.cast(inputs[1], tf.float32), tf.convert_to_tensor(projection.kernel))
        scale = tf.sqrt(tf.reduce_sum(weights**2, axis=1, keepdims=True) + 1e-12)
        direction, scaled = weights / scale, scale * h
        bias = tf.convert_to_tensor(head.bias)
        function = tf.reduce_sum(scaled * tf.stop_gradient(direction), axis=1, keepdims=True) + bias
        looking = tf.reduce_sum(tf.stop_gradient(scaled) * direction, axis=1, keepdims=True) + tf.stop_gradient(bias)
        return (function, looking), outputs.get("classes")

    return split
