"""The pair with convolutions first and dense layers after them, made for noise in the shape of an image.

    generator = conv_dense.generator((28, 28, 3), (28, 28, 3))
    discriminator = conv_dense.discriminator((28, 28, 3))

Source: github.com/drmerlot/GAN-Face-Generation (54.5 and 25.9 million weights; its README swaps the two). Glorot
kernels, and batch norm after the activation, as there. Shapes in comments are for 28 x 28 x 3 at width 64.
"""

import math

from keras import layers

from models.blocks import constrain, normalize, upsample
from models.conditional import build_discriminator, build_generator
from models.dense import classifier_head, hidden
from models.layers import minibatch_stddev

NORM = {"momentum": 0.8, "epsilon": 1e-3}


def extra_convolutions(filters: int, depth: int, normalization: str) -> list:
    """Returns `depth` convolutions, (n, h, w, filters) -> (n, h, w, filters)."""
    chain = []
    for _ in range(depth):
        chain.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        chain += normalize(normalization, filters, **NORM)
    return chain


def reshape_noise(noise_shape: tuple[int, ...], image_shape: tuple[int, ...]) -> list:
    """Returns the layers that project a noise vector to the shape of an image; for noise images, none."""
    if len(noise_shape) == 3:
        return []
    return [layers.Dense(math.prod(image_shape)), layers.Reshape(image_shape)]


def generator(noise_shape, image_shape, width=64, labels=0, depth=0, upsampling="nearest", normalization="batch"):
    """Generator: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    It has 54,533,488 weights for 28 x 28 x 3 and noise of that shape.
    """
    noise_layers = reshape_noise(noise_shape, image_shape)  # 28 x 28 x 3; before the others, as seeds go by this order
    first = layers.Conv2D(2 * width, 3, padding="same", activation="relu")  # 28 x 28 x 128
    others = [
        *normalize(normalization, 2 * width, **NORM),
        *extra_convolutions(2 * width, depth, normalization),
        *upsample(width, upsampling, activation="relu"),  # 56 x 56 x 64
        *normalize(normalization, width, **NORM),
        *extra_convolutions(width, depth, normalization),
        layers.Flatten(),  # 200,704
        *hidden(4 * width, depth, normalization),  # 256
        *hidden(8 * width, depth, normalization),  # 512
        *hidden(16 * width, depth, normalization),  # 1024
    ]
    return build_generator(
        noise_shape,
        noise_layers,
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
    """Discriminator: images (n, h, w, c) in [-1, 1] -> logits (n, 1), high for real; dropout by `rate` in the head.

    It has 25,899,585 weights for 28 x 28 x 3.
    """
    chain = [
        layers.Conv2D(2 * width, 3, padding="same", activation="relu"),  # 28 x 28 x 128
        *extra_convolutions(2 * width, depth, normalization),
        layers.Conv2D(width, 3, padding="same", activation="relu"),  # 28 x 28 x 64
        *normalize(normalization, width, **NORM),
        *extra_convolutions(width, depth, normalization),
        *minibatch_stddev(stddev),
        layers.Flatten(),  # 50,176
        *classifier_head(width, rate, depth, normalization),  # 512, 256, 1
    ]
    return build_discriminator(image_shape, constrain(chain, normalization), labels, auxiliary)
