"""Keras-GAN's DCGAN pair: upsampling and convolutions; a discriminator with dropout.

    generator = upsample.generator((100,), (28, 28, 3), width=64)
    discriminator = upsample.discriminator((28, 28, 3), width=32)

Source: github.com/eriklindernoren/Keras-GAN, dcgan/dcgan.py, there for 28 x 28 x 1 digits. Batch norm after the
activation and after dropout, momentum 0.8, Keras's epsilon and Glorot kernels, all as there. In comments, w is `width`.
"""

from keras import layers

from models import conv_dense
from models.blocks import constrain, normalize, upsample
from models.conditional import build_discriminator, build_generator
from models.conv_dense import NORM
from models.layers import Dropout, count_doublings, flatten_noise, minibatch_stddev


def up(filters: int, depth: int, upsampling: str, normalization: str) -> list:
    """Returns layers (n, h, w, c) -> (n, 2h, 2w, filters), and `depth` convolutions more."""
    chain = [*upsample(filters, upsampling, activation="relu"), *normalize(normalization, filters, **NORM)]
    return constrain([*chain, *conv_dense.extra_convolutions(filters, depth, normalization)], normalization)


def generator(noise_shape, image_shape, width=64, labels=0, depth=0, upsampling="nearest", normalization="batch"):
    """Generator: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    It has 857,859 weights for 28 x 28 x 3 and a noise vector of 100.
    """
    start, count = count_doublings(image_shape[0])
    widths = [width * 2**i for i in reversed(range(count))]  # 2w, w
    blocks = depth, upsampling, normalization
    return build_generator(
        noise_shape,
        flatten_noise(noise_shape),  # z
        [
            layers.Dense(start * start * widths[0], activation="relu"),
            layers.Reshape((start, start, widths[0])),  # 7 x 7 x 2w
            *normalize(normalization, widths[0], **NORM),
            *(layer for filters in widths for layer in up(filters, *blocks)),  # 14 x 14 x 2w, 28 x 28 x w
            layers.Conv2D(image_shape[-1], 3, padding="same", activation="tanh", dtype="float32"),  # 28 x 28 x 3
        ],
        labels,
    )


def extra_convolutions(filters: int, rate: float, depth: int, normalization: str) -> list:
    """Returns `depth` convolutions of a discriminator, (n, h, w, filters) -> (n, h, w, filters)."""
    chain = []
    for _ in range(depth):
        chain += [layers.Conv2D(filters, 3, padding="same"), layers.LeakyReLU(0.2), Dropout(rate)]
        chain += normalize(normalization, filters, **NORM)
    return chain


def discriminator(
    image_shape, width=32, rate=0.0, labels=0, auxiliary=False, depth=0, normalization="batch", stddev=False
):
    """Discriminator: images (n, h, w, c) in [-1, 1] -> logits (n, 1), high for real; dropout by `rate`, or 0.25.

    It has 393,281 weights for 28 x 28 x 3.
    """
    rate = rate or 0.25
    chain = [
        layers.Conv2D(width, 3, 2, "same"),  # 14 x 14 x w
        layers.LeakyReLU(0.2),
        Dropout(rate),
        *extra_convolutions(width, rate, depth, normalization),
        layers.Conv2D(2 * width, 3, 2, "same"),  # 7 x 7 x 2w
        layers.ZeroPadding2D(((0, 1), (0, 1))),  # 8 x 8 x 2w
        layers.LeakyReLU(0.2),
        Dropout(rate),
        *normalize(normalization, 2 * width, **NORM),
        *extra_convolutions(2 * width, rate, depth, normalization),
        layers.Conv2D(4 * width, 3, 2, "same"),  # 4 x 4 x 4w
        layers.LeakyReLU(0.2),
        Dropout(rate),
        *normalize(normalization, 4 * width, **NORM),
        *extra_convolutions(4 * width, rate, depth, normalization),
        layers.Conv2D(8 * width, 3, 1, "same"),  # 4 x 4 x 8w
        layers.LeakyReLU(0.2),
        Dropout(rate),
        *minibatch_stddev(stddev),
        layers.Flatten(),
        layers.Dense(1, dtype="float32"),
    ]
    return build_discriminator(image_shape, constrain(chain, normalization), labels, auxiliary)
