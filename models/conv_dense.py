"""The pair with convolutions first and dense layers after them, made for noise in the shape of an image.

    generator = conv_dense.generator((28, 28, 3), (28, 28, 3))
    discriminator = conv_dense.discriminator((28, 28, 3))

Source: github.com/drmerlot/GAN-Face-Generation (54.5 and 25.9 million weights; its README swaps the two). Glorot
kernels, and batch norm after the activation, as there. Shapes in comments are for 28 x 28 x 3 at width 64.
"""

import math

from keras import layers

from models.conditional import build_discriminator, build_generator
from models.dense import classifier_head, hidden
from models.layers import BatchNormalization, UpsamplingConv2D


def reshape_noise(noise_shape: tuple[int, ...], image_shape: tuple[int, ...]) -> list:
    """Returns the layers that project a noise vector to the shape of an image; for noise images, none."""
    if len(noise_shape) == 3:
        return []
    return [layers.Dense(math.prod(image_shape)), layers.Reshape(image_shape)]


def generator(noise_shape, image_shape, width=64, labels=0):
    """Generator: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    It has 54,533,488 weights for 28 x 28 x 3 and noise of that shape.
    """
    return build_generator(
        noise_shape,
        reshape_noise(noise_shape, image_shape),  # 28 x 28 x 3
        [
            layers.Conv2D(2 * width, 3, padding="same", activation="relu"),  # 28 x 28 x 128
            BatchNormalization(momentum=0.8),
            UpsamplingConv2D(width, activation="relu"),  # 56 x 56 x 64
            BatchNormalization(momentum=0.8),
            layers.Flatten(),  # 200,704
            *hidden(4 * width),  # 256
            *hidden(8 * width),  # 512
            *hidden(16 * width),  # 1024
            layers.Dense(math.prod(image_shape), activation="tanh", dtype="float32"),  # 2352
            layers.Reshape(image_shape),  # 28 x 28 x 3
        ],
        labels,
    )


def discriminator(image_shape, width=64, rate=0.0, labels=0, auxiliary=False):
    """Discriminator: images (n, h, w, c) in [-1, 1] -> logits (n, 1), high for real; dropout by `rate` in the head.

    It has 25,899,585 weights for 28 x 28 x 3.
    """
    return build_discriminator(
        image_shape,
        [
            layers.Conv2D(2 * width, 3, padding="same", activation="relu"),  # 28 x 28 x 128
            layers.Conv2D(width, 3, padding="same", activation="relu"),  # 28 x 28 x 64
            layers.Flatten(),  # 50,176
            *classifier_head(width, rate),  # 512, 256, 1
        ],
        labels,
        auxiliary,
    )
