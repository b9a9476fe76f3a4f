"""The dense pair: no convolutions, a baseline to compare them with.

    generator = dense.generator((100,), (28, 28, 3))
    discriminator = dense.discriminator((28, 28, 3))

Source: gan_rgb.py, after github.com/eriklindernoren/Keras-GAN, gan/gan.py, with color. Glorot kernels, as there.
Shapes in comments are for 28 x 28 x 3 at width 64.
"""

import math

from keras import layers

from models.blocks import constrain, normalize, require_dense_normalization
from models.conditional import build_discriminator, build_generator
from models.layers import dropout, minibatch_stddev


def hidden(units: int, depth: int, normalization: str, rate: float = 0.0) -> list:
    """Returns layers (n, inputs) -> (n, units), normalized after the activation, and `depth` as wide ones more."""
    chain = []
    for _ in range(1 + depth):
        chain += [layers.Dense(units), layers.LeakyReLU(0.2), *dropout(rate)]
        if normalization != "instance":  # which makes all units 0
            chain += normalize(normalization, units, momentum=0.8, epsilon=1e-3)
    return chain


def classifier_head(width: int, rate: float, depth: int, normalization: str, stddev: bool = False) -> list:
    """Returns layers (n, inputs) -> logits (n, 1)."""
    return [
        *hidden(8 * width, depth, normalization, rate),  # 512
        *hidden(4 * width, depth, normalization, rate),  # 256
        *minibatch_stddev(stddev),
        layers.Dense(1, dtype="float32"),
    ]


def generator(noise_shape, image_shape, width=64, labels=0, depth=0, normalization="batch"):
    """Generator: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    It has 3,100,720 weights for 28 x 28 x 3 and a noise vector of 100.
    """
    require_dense_normalization(normalization, "generator")
    first, *others = hidden(4 * width, depth, normalization)  # 256
    others += hidden(8 * width, depth, normalization)  # 512
    others += hidden(16 * width, depth, normalization)  # 1024
    return build_generator(
        noise_shape,
        [layers.Flatten()],  # z
        [
            first,
            *constrain(others, normalization),
            layers.Dense(math.prod(image_shape), activation="tanh", dtype="float32"),  # 2352
            layers.Reshape(image_shape),  # 28 x 28 x 3
        ],
        labels,
    )


def discriminator(
    image_shape, width=64, rate=0.0, labels=0, auxiliary=False, depth=0, normalization="none", stddev=False
):
    """Discriminator: images (n, h, w, c) in [-1, 1] -> logits (n, 1), high for real; dropout by `rate`.

    It has 1,336,321 weights for 28 x 28 x 3.
    """
    require_dense_normalization(normalization, "discriminator")
    chain = [layers.Flatten(), *classifier_head(width, rate, depth, normalization, stddev)]  # 2352, 512, 256, 1
    return build_discriminator(image_shape, constrain(chain, normalization), labels, auxiliary)
