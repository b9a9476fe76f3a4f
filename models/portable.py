"""Conversion of a network to Keras's own layers, so that its saved file opens without this project.

to_stock_keras(generator).save("generator.keras")
"""

import keras
from keras import layers

from models.layers import BatchNormalization, UpsamplingConv2D


def uncast(tensor):
    """The output of a layer, or the input of a network, that a symbolic tensor is a cast of, or is itself.

    Where a layer computes in another precision, Keras puts a cast before it that is no layer.
    """
    maker = tensor._keras_history.operation
    return tensor if isinstance(maker, layers.Layer) else uncast(maker.input)


def to_stock_keras(model: keras.Model) -> keras.Model:
    """The same network in float32 out of Keras's own layers alone, so that its file opens without this project."""
    copy = keras.models.clone_model(model, clone_function=to_stock_layer)
    copy.set_weights(model.get_weights())
    return copy


def to_stock_layer(layer: keras.Operation) -> layers.Layer:
    """Keras's own layer, or two of them in a row, that computes what `layer` does with the same weights."""
    if not isinstance(layer, layers.Layer):
        return layers.Identity(dtype="float32")  # a cast, of which there is nothing left to do
    config = {**layer.get_config(), "dtype": "float32"}
    if isinstance(layer, BatchNormalization):
        return layers.BatchNormalization.from_config(config)
    if isinstance(layer, UpsamplingConv2D):
        both = keras.Sequential([layers.UpSampling2D(2, dtype="float32"), layers.Conv2D.from_config(config)])
        both.dtype_policy = "float32"  # or what comes in would be rounded to the precision of training
        return both
    return type(layer).from_config(config)
