"""Conversion of a network to stock Keras layers, so that its saved file opens without this project.

to_stock_keras(generator).save("generator.keras")
"""

import keras
import numpy as np
from keras import layers

from models.layers import (
    BatchNormalization,
    BilinearUpSampling2D,
    GroupNormalization,
    SpectralNormalization,
    SubpixelConv2D,
    UpsamplingConv2D,
)

# Layers of this project -> Keras's own ones that compute the same, given the same configuration and weights.
STOCK_LAYERS = {
    BatchNormalization: layers.BatchNormalization,
    BilinearUpSampling2D: layers.UpSampling2D,
    GroupNormalization: layers.GroupNormalization,
}


def to_stock_keras(model: keras.Model) -> keras.Model:
    """Returns a copy of a network in float32, with the same weights, that consists of Keras's own layers alone."""
    copy = keras.models.clone_model(model, clone_function=to_stock_layer)
    copy.set_weights(get_stock_weights(model))
    return copy


def get_stock_weights(model: keras.Model) -> list[np.ndarray]:
    """Returns the weights that the copy of a network has: kernels with a spectral norm are divided by it."""
    spectral = [isinstance(layer, SpectralNormalization) for layer in model.layers]
    weights = [
        layer.get_plain_weights() if divided else layer.get_weights()
        for layer, divided in zip(model.layers, spectral, strict=True)
    ]
    return [array for arrays in weights for array in arrays]


def to_stock_layer(layer: keras.Operation) -> layers.Layer:
    """Returns Keras's own float32 layer, or a Sequential of some, that computes what `layer` does with its weights."""
    if not isinstance(layer, layers.Layer):
        return layers.Identity(dtype="float32")  # a cast of mixed precision: in float32 there is nothing to cast
    if isinstance(layer, SpectralNormalization):
        return to_stock_layer(layer.layer)
    config = {**layer.get_config(), "dtype": "float32"}
    if isinstance(layer, UpsamplingConv2D):
        return join_layers([layers.UpSampling2D(2, dtype="float32"), layers.Conv2D.from_config(config)])
    if isinstance(layer, SubpixelConv2D):
        _, height, width, channels = layer.compute_output_shape(layer.get_build_config()["input_shape"])
        shuffle = [
            layers.Reshape((height // 2, width // 2, 2, 2, channels), dtype="float32"),
            layers.Permute((1, 3, 2, 4, 5), dtype="float32"),
            layers.Reshape((height, width, channels), dtype="float32"),
        ]
        return join_layers([layers.Conv2D.from_config(config), *shuffle])
    return STOCK_LAYERS.get(type(layer), type(layer)).from_config(config)


def join_layers(chain: list) -> keras.Sequential:
    """Returns one float32 layer of several."""
    joined = keras.Sequential(chain)
    joined.dtype_policy = "float32"  # otherwise its input would be rounded to the precision of training
    return joined


def uncast(tensor):
    """Returns the symbolic tensor that `tensor` is a cast of, or `tensor` itself where it is none.

    Keras puts a cast, which is an operation but not a layer, before each layer that computes in another precision.
    """
    operation = tensor._keras_history.operation
    return tensor if isinstance(operation, layers.Layer) else uncast(operation.input)
