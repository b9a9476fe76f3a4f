"""The default pair: a narrow generator whose noise modulates every layer, and a discriminator without batch norm.

    generator = self_modulated.generator((128,), (32, 32, 3), width=32)
    discriminator = self_modulated.discriminator((32, 32, 3), width=32)

Both are built for many images a second, by few channels and 3x3 kernels. What narrow networks lose is made up for in
three ways (docs/findings.md): noise scales and shifts every feature map (self-modulation, arXiv:1810.01365); the image
is a sum of one image per size (skip connections, arXiv:1912.04958, section 4.1); and a hidden layer lets the
discriminator relate distant parts of a face.
Nearest-neighbor upsampling leaves no checkerboard. With a palette, drawings can have areas of one color. Without
batch norm each logit depends on its own image alone, which the R1 penalty (arXiv:1801.04406) requires. In comments, w
is `width`.
"""

import math

import keras
from keras import layers

from models.blocks import constrain, normalize, upsample
from models.conditional import apply_layers, build_inputs, build_noise_inputs, build_projected
from models.layers import BilinearUpSampling2D, count_doublings, dropout, minibatch_stddev, normal


def choose_hidden_units(width: int, deepest: int) -> int:
    """Returns the units of hidden layers: as many as `width`, or a part of the `deepest` maps where that is more.

    At 128 x 128, a network has the same maps from 4 x 4 on as one of 64 x 64 with twice the width. With hidden units
    alike, it can begin with the weights of that.
    """
    return max(width, min(32, deepest // 8))


def self_modulated_norm(x, z, hidden_units: int, normalization: str):
    """Normalizes maps x (n, h, w, c), then scales and shifts each channel by a function of noise z (n, size)."""
    filters = x.shape[-1]
    hidden = layers.LeakyReLU(0.2)(layers.Dense(hidden_units, kernel_initializer=normal())(z))
    scale = layers.Dense(filters, kernel_initializer=normal(), bias_initializer="ones")(hidden)
    shift = layers.Dense(filters, kernel_initializer=normal())(hidden)
    x = apply_layers(normalize(normalization, filters), x)
    x = layers.Multiply()([x, layers.Reshape((1, 1, filters))(scale)])
    x = layers.Add()([x, layers.Reshape((1, 1, filters))(shift)])
    return layers.LeakyReLU(0.2)(x)


def to_rgb(x, channels: int, kernel_size: int):
    """Convolves maps (n, h, w, c) to an image, or to logits of colors, (n, h, w, channels), always in float32."""
    return layers.Conv2D(channels, kernel_size, padding="same", kernel_initializer=normal(), dtype="float32")(x)


def add_upsampled(smaller, larger):
    """Adds an image (n, h/2, w/2, c), upsampled, to an image (n, h, w, c); `smaller` may be None."""
    if smaller is None:
        return larger
    upsampled = BilinearUpSampling2D(dtype="float32")(smaller)
    return layers.Add(dtype="float32")([upsampled, larger])


def mix_colors(logits, z, channels: int, hidden_units: int):
    """Mixes each pixel of images (n, h, w, channels) in [-1, 1] of k colors, which are the same in a whole image.

    The colors are a function of noise z (n, size); the softmax of logits (n, h, w, k) is the share of each. Where one
    share is 1, an area is of one color to the bit, which the sum of a convolution hardly ever is. After
    arXiv:1812.05484, whose images are layers of a color and a mask each.
    """
    *sides, count = logits.shape[1:]
    hidden = layers.LeakyReLU(0.2)(layers.Dense(2 * hidden_units, kernel_initializer=normal())(z))
    # With N(0, 0.02) all colors would start as nearly one gray, and the gradient of their shares be nearly 0.
    spread = keras.initializers.RandomNormal(0.0, 0.2)
    colors = layers.Dense(channels * count, "tanh", kernel_initializer=spread, dtype="float32")(hidden)
    colors = layers.Reshape((count, channels), dtype="float32")(colors)
    shares = layers.Reshape((math.prod(sides), count), dtype="float32")(layers.Softmax(dtype="float32")(logits))
    return layers.Reshape((*sides, channels), dtype="float32")(layers.Dot((2, 1), dtype="float32")([shares, colors]))


def generator(
    noise_shape, image_shape, width=32, labels=0, depth=0, upsampling="nearest", normalization="batch", palette=0
):
    """Generator: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    Labels (n, labels) are embedded and joined to the noise, and so modulate every layer as well. With a `palette`, each
    pixel is a mixture of so many colors, which are the same in the whole image.
    """
    start, count = count_doublings(image_shape[0])
    widths = [width * 2**i // 2 for i in reversed(range(count + 1))]
    hidden_units = choose_hidden_units(width, widths[0])
    inputs, z = build_noise_inputs(noise_shape, labels)
    x = layers.Dense(start * start * widths[0], use_bias=False, kernel_initializer=normal())(z)
    x = self_modulated_norm(layers.Reshape((start, start, widths[0]))(x), z, hidden_units, normalization)  # 4 x 4 x 4w
    image = None
    for i, filters in enumerate(widths[1:], start=1):  # 8 x 8 x 2w, 16 x 16 x w, 32 x 32 x w/2
        chain = upsample(filters, upsampling, use_bias=False, kernel_initializer=normal())
        x = self_modulated_norm(apply_layers(constrain(chain, normalization), x), z, hidden_units, normalization)
        for _ in range(depth):
            chain = [layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer=normal())]
            x = self_modulated_norm(apply_layers(constrain(chain, normalization), x), z, hidden_units, normalization)
        image = add_upsampled(image, to_rgb(x, palette or image_shape[-1], kernel_size=3 if i == count else 1))
    channels = image_shape[-1]
    image = (
        mix_colors(image, z, channels, hidden_units) if palette else layers.Activation("tanh", dtype="float32")(image)
    )
    return keras.Model(inputs, image, name="generator")


def down(filters: int, rate: float, depth: int, normalization: str, first: bool) -> list:
    """Returns layers (n, h, w, c) -> (n, h/2, w/2, filters), and `depth` convolutions more.

    Where it is the `first` of the discriminator, a norm begins after its own convolution, as in DCGAN.
    """
    chain = []
    for i in range(1 + depth):
        norm = [] if first and i == 0 else normalize(normalization, filters)
        chain += [
            layers.Conv2D(filters, 3, 1 if i else 2, "same", use_bias=not norm, kernel_initializer=normal()),
            *norm,
            layers.LeakyReLU(0.2),
            *dropout(rate),
        ]
    return chain


def discriminator(
    image_shape, width=32, rate=0.0, labels=0, auxiliary=False, depth=0, normalization="none", stddev=False
):
    """Discriminator: images (n, h, w, c) in [-1, 1] -> logits (n, 1), high for real; dropout by `rate`.

    Labels (n, labels) are projected on its features; `auxiliary`: it gives logits of labels as well.
    """
    _, count = count_doublings(image_shape[0])
    images, given = build_inputs(image_shape, labels, "images")
    x = images  # 32 x 32 x 3
    for i in range(count):  # 16 x 16 x w, 8 x 8 x 2w, 4 x 4 x 4w
        x = apply_layers(constrain(down(width * 2**i, rate, depth, normalization, i == 0), normalization), x)
    x = layers.Flatten()(apply_layers(minibatch_stddev(stddev), x))
    hidden_units = 2 * choose_hidden_units(width, width * 2 ** (count - 1))
    hidden = [layers.Dense(hidden_units, kernel_initializer=normal()), layers.LeakyReLU(0.2)]
    features = layers.Concatenate()([x, apply_layers(constrain(hidden, normalization), x)])
    head = [layers.Dense(1, kernel_initializer=normal(), dtype="float32")]
    logits = apply_layers(constrain(head, normalization), features)
    return build_projected(images, given, features, logits, auxiliary)
