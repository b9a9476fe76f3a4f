"""The dense pair: no convolutions, a baseline to compare them with.

    generator = dense.generator((100,), (28, 28, 3))
    discriminator = dense.discriminator((28, 28, 3))

Source: gan_rgb.py, after github.com/eriklindernoren/Keras-GAN, gan/gan.py, with color. Glorot kernels, as there.
Shapes in comments are for 28 x 28 x 3 at width 64.
"""

import math

from keras import layers

from models.conditional import build_discriminator, build_generator
from models.layers import BatchNormalization, dropout


def hidden(units: int) -> list:
    """Returns layers (n, inputs) -> (n, units), normalized after the activation."""
    return [layers.Dense(units), layers.LeakyReLU(0.2), BatchNormalization(momentum=0.8)]


def classifier_head(width: int, rate: float) -> list:
    """Returns layers (n, inputs) -> logits (n, 1)."""
    return [
        layers.Dense(8 * width),  # 512
        layers.LeakyReLU(0.2),
        *dropout(rate),
        layers.Dense(4 * width),  # 256
        layers.LeakyReLU(0.2),
        *dropout(rate),
        layers.Dense(1, dtype="float32"),
    ]


def generator(noise_shape, image_shape, width=64, labels=0):
    """Generator: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    It has 3,100,720 weights for 28 x 28 x 3 and a noise vector of 100.
    """
    return build_generator(
        noise_shape,
        [layers.Flatten()],  # z
        [
            *hidden(4 * width),  # 256
            *hidden(8 * width),  # 512
            *hidden(16 * width),  # 1024
            layers.Dense(math.prod(image_shape), activation="tanh", dtype="float32"),  # 2352
            layers.Reshape(image_shape),  # 28 x 28 x 3
        ],
        labels,
    )


def discriminator(image_shape, width=64, rate=0.0, labels=0, auxiliary=False):
    """Discriminator: images (n, h, w, c) in [-1, 1] -> logits (n, 1), high for real; dropout by `rate`.

    It has 1,336,321 weights for 28 x 28 x 3.
    """
    return build_discriminator(
        image_shape,
        [
            layers.Flatten(),  # 2352
            *classifier_head(width, rate),  # 512, 256, 1
        ],
        labels,
        auxiliary,
    )
