"""The residual pairs: one of batch norm and ReLU, one without normalization.

    generator = residual.generator((128,), (32, 32, 3), width=32)
    discriminator = residual.discriminator((32, 32, 3), width=32)
    generator = residual.generator_without_norm((128,), (32, 32, 3), width=32)
    discriminator = residual.discriminator_without_norm((32, 32, 3), width=32)

`residual` has the blocks of Miyato et al., arXiv:1802.05957, figure 8, with as many channels at each size as our other
pairs have. `residual-free` has those of R3GAN, arXiv:2501.05441, section 3: a bottleneck of 1x1, 3x3 and 1x1
convolutions, leaky ReLU, and no normalization at all. R3GAN's 3x3 convolutions are grouped; here they are plain ones of
half the channels, as TensorFlow has gradients of grouped convolutions on CPUs only where oneDNN runs them, and Keras
compiles them by XLA.

Kernels do not start as N(0, 0.02), as those of the other pairs do: without batch norm after each convolution, which
would scale them, every block would pass on a fraction of what it gets, and logits would start, and gradients stay,
near 0. They start so that every layer keeps the size of what it gets: after He et al., arXiv:1502.01852. The last
kernel of a block that `depth` adds starts as 0, so that a deep network starts with the outputs of one without it. In
comments, w is `width`.
"""

import keras
import tensorflow as tf
from keras import layers

from models.blocks import constrain, has_offset, normalize, upsample
from models.conditional import apply_layers, build_inputs, build_noise_inputs, build_projected
from models.layers import (
    KERNEL_SUMS,
    BilinearUpSampling2D,
    count_doublings,
    dropout,
    minibatch_stddev,
)


def scaled(gain: float = 1.0) -> keras.initializers.Initializer:
    """Returns a new initializer N(0, gain / inputs) for one kernel; a gain of 2 is for inputs from a ReLU."""
    return keras.initializers.VarianceScaling(gain, "fan_in", "untruncated_normal")


def scaled_upsampling(kind: str, gain: float = 1.0) -> keras.initializers.Initializer:
    """Returns the same for a kernel of `upsample`.

    Of the 16 taps of a transposed convolution, 4 reach each pixel; Keras counts its inputs as outputs.
    """
    if kind == "transpose":
        return keras.initializers.VarianceScaling(4 * gain, "fan_out", "untruncated_normal")
    return scaled(gain)


class DownsamplingConv2D(layers.Conv2D):
    """A 3x3 convolution, then the means of 2 x 2 pixels: (n, h, w, c) -> (n, h/2, w/2, filters), for even sides.

    Both are linear, so together they are one convolution of stride 2, with a 4x4 kernel whose entries are sums of the
    3x3 kernel's: 16 products per output pixel in place of 36, and no convolved image of full size in memory.
    """

    def call(self, inputs):
        kernel = tf.convert_to_tensor(self.kernel)
        sums = KERNEL_SUMS[::-1] @ tf.reshape(kernel, (9, -1)) / 4
        kernel = tf.cast(tf.reshape(sums, (4, 4, *kernel.shape[2:])), self.compute_dtype)
        return tf.nn.conv2d(inputs, kernel, 2, "SAME") + tf.cast(self.bias, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, height // 2, width // 2, self.filters)


def normalize_relu(x, normalization: str):
    """Normalizes maps (n, h, w, c), then applies a ReLU."""
    return apply_layers([*normalize(normalization, x.shape[-1]), layers.ReLU()], x)


def convolve(x, filters: int, size: int, normalization: str, **options):
    """Applies a convolution of stride 1 to maps (n, h, w, c); `options` are those of `layers.Conv2D`."""
    return apply_layers(constrain([layers.Conv2D(filters, size, padding="same", **options)], normalization), x)


def downsample(x, filters: int, normalization: str):
    """Applies a `DownsamplingConv2D` after a ReLU."""
    layer = DownsamplingConv2D(filters, 3, padding="same", kernel_initializer=scaled(2))
    return apply_layers(constrain([layer], normalization), x)


def upsample_block(x, filters: int, upsampling: str, normalization: str):
    """Maps (n, h, w, c) -> (n, 2h, 2w, filters). arXiv:1802.05957, figure 8 (b).

    Without a norm, its last kernel starts as 0: else the size of maps would grow from block to block.
    """
    options = {"use_bias": not has_offset(normalization), "kernel_initializer": scaled_upsampling(upsampling, 2)}
    chain = constrain(upsample(filters, upsampling, **options), normalization)
    y = normalize_relu(apply_layers(chain, normalize_relu(x, normalization)), normalization)
    last = "zeros" if normalization == "none" else scaled(2)
    y = convolve(y, filters, 3, normalization, kernel_initializer=last)
    # A 1x1 convolution gives the same before upsampling as after it, for a quarter of the products.
    x = layers.UpSampling2D(2)(convolve(x, filters, 1, normalization, kernel_initializer=scaled()))
    return layers.Add()([x, y])


def downsample_block(x, filters: int, normalization: str):
    """Maps (n, h, w, c) -> (n, h/2, w/2, filters). arXiv:1802.05957, figure 8 (a)."""
    y = convolve(normalize_relu(x, normalization), filters, 3, normalization, kernel_initializer=scaled(2))
    y = downsample(normalize_relu(y, normalization), filters, normalization)
    x = convolve(layers.AveragePooling2D(2)(x), filters, 1, normalization, kernel_initializer=scaled())
    return layers.Add()([x, y])


def first_block(images, filters: int, normalization: str):
    """Images (n, h, w, c) -> maps (n, h/2, w/2, filters): a block that begins with a convolution, and has no norm."""
    y = convolve(images, filters, 3, normalization, kernel_initializer=scaled())
    y = downsample(layers.ReLU()(y), filters, normalization)
    x = convolve(layers.AveragePooling2D(2)(images), filters, 1, normalization, kernel_initializer=scaled())
    return layers.Add()([x, y])


def last_block(x, filters: int, normalization: str):
    """Maps (n, h, w, c) -> (n, h, w, filters), without downsampling."""
    y = convolve(normalize_relu(x, normalization), filters, 3, normalization, kernel_initializer=scaled(2))
    y = convolve(normalize_relu(y, normalization), filters, 3, normalization, kernel_initializer=scaled(2))
    return layers.Add()([convolve(x, filters, 1, normalization, kernel_initializer=scaled()), y])


def more_blocks(x, depth: int, normalization: str):
    """Applies `depth` blocks that keep the shape of maps (n, h, w, c), and the maps themselves at first.

    With a spectral norm, by which a kernel of 0 cannot be divided, their last kernels start as other kernels do.
    """
    for _ in range(depth):
        filters, last = x.shape[-1], scaled(2) if normalization == "spectral" else "zeros"
        y = convolve(normalize_relu(x, normalization), filters, 3, normalization, kernel_initializer=scaled(2))
        y = convolve(normalize_relu(y, normalization), filters, 3, normalization, kernel_initializer=last)
        x = layers.Add()([x, y])
    return x


def bottleneck_block(x, blocks: int):
    """Adds to maps x (n, h, w, c) a function of them that is 0 at first, so that their size is the same at any depth.

    arXiv:2501.05441, section 3; the scale of its first two kernels, for as many `blocks` in a row, is that of Fixup,
    arXiv:1901.09321, section 3, in place of normalization.
    """
    filters = x.shape[-1]
    gain = 2 / (1 + 0.2**2) * blocks**-0.5  # leaky ReLU's, and L^(-1 / (2m - 2)) squared, of m = 3 layers
    y = layers.Conv2D(max(1, filters // 2), 1, kernel_initializer=scaled(gain))(x)
    y = layers.LeakyReLU(0.2)(y)
    y = layers.Conv2D(max(1, filters // 2), 3, padding="same", kernel_initializer=scaled(gain))(y)
    y = layers.LeakyReLU(0.2)(y)
    return layers.Add()([x, layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="zeros")(y)])


def stage(x, depth: int, blocks: int):
    """Applies 2 + `depth` bottleneck blocks, of all the `blocks` that a network has."""
    for _ in range(2 + depth):
        x = bottleneck_block(x, blocks)
    return x


def upsample_maps(x, filters: int, kind: str):
    """Maps (n, h, w, c) -> (n, 2h, 2w, filters), without an activation, by one of `models.blocks.UPSAMPLINGS`.

    Before an interpolation there is a 1x1 convolution, as in the paper, in place of a 3x3 one after it.
    """
    if kind in ("nearest", "bilinear"):
        x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer=scaled())(x)
        return (BilinearUpSampling2D() if kind == "bilinear" else layers.UpSampling2D(2))(x)
    return apply_layers(upsample(filters, kind, use_bias=False, kernel_initializer=scaled_upsampling(kind)), x)


def build_first_maps(noise_shape, image_shape, width: int, labels: int) -> tuple:
    """The inputs of a generator, its first maps (n, start, start, w 2^(count - 1)), and the later widths."""
    start, count = count_doublings(image_shape[0])
    first, *widths = (max(1, width * 2**i // 2) for i in reversed(range(count + 1)))
    inputs, z = build_noise_inputs(noise_shape, labels)
    x = layers.Reshape((start, start, first))(layers.Dense(start * start * first, kernel_initializer=scaled())(z))
    return inputs, x, widths


def build_head(x, images, given, auxiliary: bool, stddev: bool, normalization: str = "none"):
    """The discriminator of last maps x: all of them, and not their sum as in the papers, as a face has its places.

    Labels `given` are projected on its features; `auxiliary`: it gives logits of labels as well.
    """
    x = layers.Flatten()(apply_layers(minibatch_stddev(stddev), x))
    head = [layers.Dense(1, kernel_initializer=scaled(), dtype="float32")]
    logits = apply_layers(constrain(head, normalization), x)
    return build_projected(images, given, x, logits, auxiliary)


def generator(noise_shape, image_shape, width=32, labels=0, depth=0, upsampling="nearest", normalization="batch"):
    """Generator of the pair `residual`: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    `depth` adds blocks after each that upsamples; shortcuts are upsampled by nearest neighbor, whatever `upsampling`.
    """
    inputs, x, widths = build_first_maps(noise_shape, image_shape, width, labels)  # 4 x 4 x 4w
    for filters in widths:  # 8 x 8 x 2w, 16 x 16 x w, 32 x 32 x w/2
        x = more_blocks(upsample_block(x, filters, upsampling, normalization), depth, normalization)
    image = layers.Conv2D(
        image_shape[-1], 3, padding="same", activation="tanh", kernel_initializer=scaled(), dtype="float32"
    )(normalize_relu(x, normalization))  # 32 x 32 x 3
    return keras.Model(inputs, image, name="generator")


def discriminator(
    image_shape, width=32, rate=0.0, labels=0, auxiliary=False, depth=0, normalization="none", stddev=False
):
    """Discriminator of the pair `residual`: images (n, h, w, c) in [-1, 1] -> logits (n, 1), high for real.

    Dropout by `rate` after each stage: a block that downsamples, and those that `depth` adds. `stddev`: it sees how
    much images of a group differ. A norm is before each ReLU but the first.
    """
    _, count = count_doublings(image_shape[0])
    images, given = build_inputs(image_shape, labels, "images")
    x = first_block(images, max(1, width // 2), normalization)  # 16 x 16 x w/2
    x = apply_layers(dropout(rate), more_blocks(x, depth, normalization))
    for i in range(1, count):  # 8 x 8 x w, 4 x 4 x 2w
        x = downsample_block(x, width * 2**i // 2, normalization)
        x = apply_layers(dropout(rate), more_blocks(x, depth, normalization))
    x = normalize_relu(last_block(x, width * 2**count // 2, normalization), normalization)  # 4 x 4 x 4w
    return build_head(apply_layers(dropout(rate), x), images, given, auxiliary, stddev, normalization)


def generator_without_norm(noise_shape, image_shape, width=32, labels=0, depth=0, upsampling="bilinear"):
    """Generator of the pair `residual-free`: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    `depth` adds blocks to each stage, the first one, too.
    """
    inputs, x, widths = build_first_maps(noise_shape, image_shape, width, labels)  # 4 x 4 x 4w
    blocks = (2 + depth) * (len(widths) + 1)
    x = stage(x, depth, blocks)
    for filters in widths:  # 8 x 8 x 2w, 16 x 16 x w, 32 x 32 x w/2
        x = stage(upsample_maps(x, filters, upsampling), depth, blocks)
    image = layers.Conv2D(image_shape[-1], 1, activation="tanh", kernel_initializer=scaled(), dtype="float32")(x)
    return keras.Model(inputs, image, name="generator")


def discriminator_without_norm(image_shape, width=32, rate=0.0, labels=0, auxiliary=False, depth=0, stddev=False):
    """Discriminator of the pair `residual-free`: as `discriminator` has it, and dropout likewise.

    Bilinear interpolation to half the side gives the means of 2 x 2 pixels.
    """
    _, count = count_doublings(image_shape[0])
    images, given = build_inputs(image_shape, labels, "images")
    x = layers.Conv2D(max(1, width // 2), 1, use_bias=False, kernel_initializer=scaled())(images)  # 32 x 32 x w/2
    blocks = (2 + depth) * (count + 1)
    x = apply_layers(dropout(rate), stage(x, depth, blocks))
    for i in range(1, count + 1):  # 16 x 16 x w, 8 x 8 x 2w, 4 x 4 x 4w
        x = layers.AveragePooling2D(2)(x)
        x = layers.Conv2D(width * 2**i // 2, 1, use_bias=False, kernel_initializer=scaled())(x)
        x = apply_layers(dropout(rate), stage(x, depth, blocks))
    return build_head(x, images, given, auxiliary, stddev)
