"""Keras-GAN's DCGAN pair: upsample and convolve; a discriminator with dropout.

Source: github.com/eriklindernoren/Keras-GAN, dcgan/dcgan.py, there for 28 x 28 x 1 digits. Batch norm comes after
the activation, and after the dropout; momentum 0.8 and Keras's epsilon, Glorot kernels, all as there.
"""

import keras
from keras import layers

from models.layers import BatchNormalization, UpsamplingConv2D, doublings, flatten_noise


def generator(noise_shape, image_shape, width=64):
    """Noise -> faces (n, h, w, c) in [-1, 1]; 857,859 weights for 28 x 28 x 3 from a vector of 100."""
    start, count = doublings(image_shape[0])
    widths = [width * 2**i for i in reversed(range(count))]  # 2w, w
    return keras.Sequential(
        [
            keras.Input(noise_shape),  # z
            *flatten_noise(noise_shape),
            layers.Dense(start * start * widths[0], activation="relu"),
            layers.Reshape((start, start, widths[0])),  # 7 x 7 x 2w
            BatchNormalization(momentum=0.8),
            *(layer for filters in widths for layer in up(filters)),  # 14 x 14 x 2w, 28 x 28 x w
            layers.Conv2D(image_shape[-1], 3, padding="same", activation="tanh", dtype="float32"),  # 28 x 28 x 3
        ],
        name="generator",
    )


def up(filters: int) -> list:
    """(n, h, w, c) -> (n, 2h, 2w, filters)."""
    return [UpsamplingConv2D(filters, activation="relu"), BatchNormalization(momentum=0.8)]


def discriminator(image_shape, width=32):
    """Faces (n, h, w, c) in [-1, 1] -> logits (n, 1), high is real; 393,281 weights for 28 x 28 x 3."""
    return keras.Sequential(
        [
            keras.Input(image_shape),  # 28 x 28 x 3
            layers.Conv2D(width, 3, 2, "same"),  # 14 x 14 x w
            layers.LeakyReLU(0.2),
            layers.Dropout(0.25),
            layers.Conv2D(2 * width, 3, 2, "same"),  # 7 x 7 x 2w
            layers.ZeroPadding2D(((0, 1), (0, 1))),  # 8 x 8 x 2w
            layers.LeakyReLU(0.2),
            layers.Dropout(0.25),
            BatchNormalization(momentum=0.8),
            layers.Conv2D(4 * width, 3, 2, "same"),  # 4 x 4 x 4w
            layers.LeakyReLU(0.2),
            layers.Dropout(0.25),
            BatchNormalization(momentum=0.8),
            layers.Conv2D(8 * width, 3, 1, "same"),  # 4 x 4 x 8w
            layers.LeakyReLU(0.2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(1, dtype="float32"),
        ],
        name="discriminator",
    )
