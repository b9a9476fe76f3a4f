"""Parts of networks that are chosen by name: how they normalize, and how generators upsample.

    [*upsample(64, "pixel-shuffle"), *normalize("instance", 64), layers.ReLU()]   # (n, h, w, c) -> (n, 2h, 2w, 64)
    constrain([layers.Conv2D(64, 3), ...], "spectral")                            # for any other kind, the list itself

A pair calls these where its own parts are, and says in its defaults which are its own.
"""

import math

from keras import layers

from gan.errors import UsageError
from models.layers import (
    BatchNormalization,
    BilinearUpSampling2D,
    GroupNormalization,
    SpectralNormalization,
    SubpixelConv2D,
    UpsamplingConv2D,
)

GROUP = 16  # channels of a group, where the number of all is a multiple of it. arXiv:1803.08494, table 3

# How many groups so many channels make. One group is the layer norm of arXiv:1607.06450, section 3, over all units of a
# layer, with gains for each channel as in arXiv:1704.00028; groups of one channel are instance norm, arXiv:1607.08022.
GROUPS = {
    "layer": lambda channels: 1,
    "instance": lambda channels: channels,
    "group": lambda channels: channels // math.gcd(channels, GROUP),
}
NORMALIZATIONS = ("batch", *GROUPS, "spectral", "none")


def normalize(kind: str, channels: int, momentum: float = 0.9, epsilon: float = 1e-5) -> list:
    """Returns the layer that normalizes `channels` maps or units, or no layer for "spectral" and "none".

    `momentum` is that of "batch".
    """
    if kind == "batch":
        return [BatchNormalization(momentum=momentum, epsilon=epsilon)]
    return [GroupNormalization(GROUPS[kind](channels), epsilon=epsilon)] if kind in GROUPS else []


def constrain(chain: list, kind: str) -> list:
    """Returns layers, for "spectral" each that has a kernel with this divided by its spectral norm."""
    if kind != "spectral":
        return chain
    return [
        SpectralNormalization(layer, dtype=layer.dtype_policy) if hasattr(layer, "kernel_initializer") else layer
        for layer in chain
    ]


def has_offset(kind: str) -> bool:
    """Tests whether a normalization has an offset for each channel, so that the layer before it needs no bias."""
    return kind == "batch" or kind in GROUPS


def require_dense_normalization(kind: str, network: str) -> None:
    """Raises UsageError for instance norm, which would make all that a dense "generator" or "discriminator" has 0."""
    if kind == "instance":
        raise UsageError(
            f"--{network}-normalization instance: it normalizes each map over its pixels, and the {network} dense has"
            f" no maps. Use --{network}-normalization layer or group, or another --{network}."
        )


def upsample(filters: int, kind: str, **options) -> list:
    """Returns layers (n, h, w, c) -> (n, 2h, 2w, filters), of one kernel; `options` are those of a convolution."""
    return UPSAMPLINGS[kind](filters, options)


UPSAMPLINGS = {
    "transpose": lambda filters, options: [layers.Conv2DTranspose(filters, 4, 2, "same", **options)],
    "nearest": lambda filters, options: [UpsamplingConv2D(filters, **options)],
    "bilinear": lambda filters, options: [
        BilinearUpSampling2D(dtype=options.get("dtype")),
        layers.Conv2D(filters, 3, padding="same", **options),
    ],
    "pixel-shuffle": lambda filters, options: [SubpixelConv2D(4 * filters, 3, padding="same", **options)],
}
