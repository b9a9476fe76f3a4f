"""Our own pair: a narrow generator whose noise speaks at every size, a discriminator without batch norm.

Made for many images a second, and for faces that differ: networks 32 channels wide and a discriminator of 3x3 kernels
see far more of them in the same time than 48 and 4x4 do. Three things make up for what narrow networks cannot do
(docs/findings.md): noise scales and shifts every map (self-modulation, arXiv:1810.01365), the picture is a sum of one
picture a size (skips, arXiv:1912.04958, section 4.1), and a hidden layer lets the discriminator see what parts of a
face that are far apart have to do with each other. Nearest-neighbour upsampling leaves no checkerboard; a discriminator
without batch norm judges each face alone, so that an R1 penalty (arXiv:1801.04406) can hold it.
"""

import keras
from keras import layers

from models.layers import BatchNormalization, UpsamplingConv2D, doublings, flatten_noise, normal


def generator(noise_shape, image_shape, width=32):
    """Noise -> faces (n, h, w, c) in [-1, 1]."""
    start, count = doublings(image_shape[0])
    widths = [width * 2**i // 2 for i in reversed(range(count + 1))]
    z = noise = keras.Input(noise_shape)
    for layer in flatten_noise(noise_shape):
        z = layer(z)
    x = layers.Dense(start * start * widths[0], use_bias=False, kernel_initializer=normal())(z)
    x = modulate(layers.Reshape((start, start, widths[0]))(x), z, width)  # 4 x 4 x 4w
    picture = None
    for i, filters in enumerate(widths[1:], start=1):  # 8 x 8 x 2w, 16 x 16 x w, 32 x 32 x w / 2
        x = modulate(UpsamplingConv2D(filters, use_bias=False, kernel_initializer=normal())(x), z, width)
        picture = add_upsampled(picture, to_rgb(x, image_shape[-1], kernel=3 if i == count else 1))
    return keras.Model(noise, layers.Activation("tanh", dtype="float32")(picture), name="generator")


def modulate(x, z, width: int):
    """Maps (n, h, w, c), normalised, then scaled and shifted channel by channel as noise (n, size) has it."""
    filters = x.shape[-1]
    hidden = layers.LeakyReLU(0.2)(layers.Dense(width, kernel_initializer=normal())(z))
    scale = layers.Dense(filters, kernel_initializer=normal(), bias_initializer="ones")(hidden)
    shift = layers.Dense(filters, kernel_initializer=normal())(hidden)
    x = BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    x = layers.Multiply()([x, layers.Reshape((1, 1, filters))(scale)])
    x = layers.Add()([x, layers.Reshape((1, 1, filters))(shift)])
    return layers.LeakyReLU(0.2)(x)


def to_rgb(x, channels: int, kernel: int):
    """Maps (n, h, w, c) -> (n, h, w, channels), in float32 whatever the precision."""
    return layers.Conv2D(channels, kernel, padding="same", kernel_initializer=normal(), dtype="float32")(x)


def add_upsampled(smaller, larger):
    """The sum of two pictures, the first, if any, doubled: (n, h / 2, w / 2, c), (n, h, w, c) -> (n, h, w, c)."""
    if smaller is None:
        return larger
    doubled = layers.UpSampling2D(2, interpolation="bilinear", dtype="float32")(smaller)
    return layers.Add(dtype="float32")([doubled, larger])


def discriminator(image_shape, width=32):
    """Faces (n, h, w, c) in [-1, 1] -> logits (n, 1), high is real."""
    _, count = doublings(image_shape[0])
    x = faces = keras.Input(image_shape)  # 32 x 32 x 3
    for i in range(count):  # 16 x 16 x w ... 4 x 4 x 4w
        x = layers.LeakyReLU(0.2)(layers.Conv2D(width * 2**i, 3, 2, "same", kernel_initializer=normal())(x))
    x = layers.Flatten()(x)
    hidden = layers.LeakyReLU(0.2)(layers.Dense(2 * width, kernel_initializer=normal())(x))
    logits = layers.Dense(1, kernel_initializer=normal(), dtype="float32")(layers.Concatenate()([x, hidden]))
    return keras.Model(faces, logits, name="discriminator")
