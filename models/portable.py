"""Conversion of a network to stock Keras layers, so that its saved file opens without this project.

to_stock_keras(generator).save("generator.keras")
"""

import keras
from keras import layers

from models.layers import BatchNormalization, UpsamplingConv2D


def to_stock_keras(model: keras.Model) -> keras.Model:
    """Returns a copy of a network in float32, with the same weights, that consists of Keras's own layers alone."""
    copy = keras.models.clone_model(model, clone_function=to_stock_layer)
    copy.set_weights(model.get_weights())
    return copy


def to_stock_layer(layer: keras.Operation) -> layers.Layer:
    """Returns Keras's own float32 layer, or a Sequential of two, that computes what `layer` does with its weights."""
    if not isinstance(layer, layers.Layer):
        return layers.Identity(dtype="float32")  # a cast of mixed precision: in float32 there is nothing to cast
    config = {**layer.get_config(), "dtype": "float32"}
    if isinstance(layer, BatchNormalization):
        return layers.BatchNormalization.from_config(config)
    if isinstance(layer, UpsamplingConv2D):
        both = keras.Sequential([layers.UpSampling2D(2, dtype="float32"), layers.Conv2D.from_config(config)])
        both.dtype_policy = "float32"  # otherwise its input would be rounded to the precision of training
        return both
    return type(layer).from_config(config)


def uncast(tensor):
    """Returns the symbolic tensor that `tensor` is a cast of, or `tensor` itself where it is none.

    Keras puts a cast, which is an operation but not a layer, before each layer that computes in another precision.
    """
    operation = tensor._keras_history.operation
    return tensor if isinstance(operation, layers.Layer) else uncast(operation.input)
