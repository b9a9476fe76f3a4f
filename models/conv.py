"""The fully convolutional DCGAN pair of the Udacity course: 4x4 kernels, stride 2, batch norm.

Radford et al., arXiv:1511.06434; with a convolution without padding in place of the linear layers it would be
their figure 1. PyTorch's batch-norm momentum 0.1 is Keras's 0.9.
"""

import keras
from keras import layers

from models.layers import BatchNormalization, doublings, flatten_noise, normal


def up(filters: int) -> list:
    """(n, h, w, c) -> (n, 2h, 2w, filters)."""
    return [
        layers.Conv2DTranspose(filters, 4, 2, "same", use_bias=False, kernel_initializer=normal()),
        BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.ReLU(),
    ]


def down(filters: int) -> list:
    """(n, h, w, c) -> (n, h/2, w/2, filters)."""
    return [
        layers.Conv2D(filters, 4, 2, "same", use_bias=False, kernel_initializer=normal()),
        BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.LeakyReLU(0.2),
    ]


def to_image(channels: int) -> list:
    """The generator's last doubling, in float32 whatever the precision: -> (n, 2h, 2w, channels) in [-1, 1]."""
    last = layers.Conv2DTranspose(
        channels,
        4,
        2,
        "same",
        use_bias=False,
        activation="tanh",
        kernel_initializer=normal(),
        dtype="float32",
    )
    return [last]


def generator(noise_shape, image_shape, width=64):
    """Noise -> faces (n, h, w, c) in [-1, 1]; at 32 x 32 from a vector 160 w^2 + 64 w z + 118 w weights."""
    start, count = doublings(image_shape[0])
    widths = [width * 2**i for i in reversed(range(count))]
    return keras.Sequential(
        [
            keras.Input(noise_shape),  # z
            *flatten_noise(noise_shape),
            layers.Dense(start * start * widths[0], kernel_initializer=normal()),
            layers.Reshape((start, start, widths[0])),  # 4 x 4 x 4w
            *(layer for filters in widths[1:] for layer in up(filters)),  # 8 x 8 x 2w, 16 x 16 x w
            *to_image(image_shape[-1]),  # 32 x 32 x 3
        ],
        name="generator",
    )


def generator_from_2x2(noise_shape, image_shape, width=64):
    """A generator that starts at 2 x 2 x 16w and narrows fourfold at its first doubling.

    Source: the printed model in github.com/saisravanth/udacity (5,267,328 weights at width 64, z 100).
    """
    start, count = doublings(image_shape[0], smallest=2)
    widths = [width * 2**i for i in reversed(range(count - 1))]
    return keras.Sequential(
        [
            keras.Input(noise_shape),  # z
            *flatten_noise(noise_shape),
            layers.Dense(start * start * 4 * widths[0], kernel_initializer=normal()),
            layers.Reshape((start, start, 4 * widths[0])),  # 2 x 2 x 16w
            *(layer for filters in widths for layer in up(filters)),  # 4 x 4 x 4w, 8 x 8 x 2w, 16 x 16 x w
            *to_image(image_shape[-1]),  # 32 x 32 x 3
        ],
        name="generator",
    )


def discriminator(image_shape, width=64):
    """Faces (n, h, w, c) in [-1, 1] -> logits (n, 1), high is real; 160 w^2 + 124 w + 1 weights at 32 x 32."""
    _, count = doublings(image_shape[0])
    return keras.Sequential(
        [
            keras.Input(image_shape),  # 32 x 32 x 3
            layers.Conv2D(width, 4, 2, "same", use_bias=False, kernel_initializer=normal()),  # 16 x 16 x w
            layers.LeakyReLU(0.2),
            *(layer for i in range(1, count) for layer in down(width * 2**i)),  # 8 x 8 x 2w, 4 x 4 x 4w
            layers.Flatten(),
            layers.Dense(1, kernel_initializer=normal(), dtype="float32"),
        ],
        name="discriminator",
    )
