"""The all-dense pair, in RGB: no idea of what lies beside what, a yardstick for the convolutions.

Source: gan_rgb.py, grown from github.com/eriklindernoren/Keras-GAN, gan/gan.py. Glorot kernels, as there.
"""

import math

import keras
from keras import layers

from models.layers import BatchNormalization


def generator(noise_shape, image_shape, width=64):
    """Noise -> faces (n, h, w, c) in [-1, 1]; 3,100,720 weights for 28 x 28 x 3 from a vector of 100."""
    return keras.Sequential(
        [
            keras.Input(noise_shape),
            layers.Flatten(),  # z
            *hidden(4 * width),  # 256
            *hidden(8 * width),  # 512
            *hidden(16 * width),  # 1024
            layers.Dense(math.prod(image_shape), activation="tanh", dtype="float32"),  # 2352
            layers.Reshape(image_shape),  # 28 x 28 x 3
        ],
        name="generator",
    )


def hidden(units: int) -> list:
    """(n, inputs) -> (n, units), normalised after the activation."""
    return [layers.Dense(units), layers.LeakyReLU(0.2), BatchNormalization(momentum=0.8)]


def discriminator(image_shape, width=64):
    """Faces (n, h, w, c) in [-1, 1] -> logits (n, 1), high is real; 1,336,321 weights for 28 x 28 x 3."""
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Flatten(),  # 2352
            *classifier_head(width),  # 512, 256, 1
        ],
        name="discriminator",
    )


def classifier_head(width: int) -> list:
    """(n, inputs) -> logits (n, 1)."""
    return [
        layers.Dense(8 * width),  # 512
        layers.LeakyReLU(0.2),
        layers.Dense(4 * width),  # 256
        layers.LeakyReLU(0.2),
        layers.Dense(1, dtype="float32"),
    ]
