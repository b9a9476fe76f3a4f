"""The convolutional DCGAN pair: 4x4 kernels of stride 2, batch norm.

    generator = conv.generator((100,), (32, 32, 3), width=64)
    discriminator = conv.discriminator((32, 32, 3), width=64)

Radford et al., arXiv:1511.06434, as the Udacity deep learning course has it: figure 1 with a dense layer, where the
paper's first and last layers are convolutions. PyTorch's batch-norm momentum 0.1 is Keras's 0.9. In comments, w is
`width`, and z the length of the noise.
"""

from keras import layers

from models.blocks import constrain, has_offset, normalize, upsample
from models.conditional import build_discriminator, build_generator
from models.layers import count_doublings, dropout, flatten_noise, minibatch_stddev, normal


def options(normalization: str) -> dict:
    """Returns the options of a convolution: it has no bias with a norm that has an offset.

    That is so in the first layer of the discriminator, too, although no norm follows that one.
    """
    return {"use_bias": not has_offset(normalization), "kernel_initializer": normal()}


def up(filters: int, depth: int, upsampling: str, normalization: str) -> list:
    """Returns layers (n, h, w, c) -> (n, 2h, 2w, filters), and `depth` convolutions more."""
    chain = upsample(filters, upsampling, **options(normalization))
    chain += [*normalize(normalization, filters), layers.ReLU()]
    for _ in range(depth):
        chain.append(layers.Conv2D(filters, 3, padding="same", **options(normalization)))
        chain += [*normalize(normalization, filters), layers.ReLU()]
    return constrain(chain, normalization)


def down(filters: int, rate: float, depth: int, normalization: str, first: bool = False) -> list:
    """Returns layers (n, h, w, c) -> (n, h/2, w/2, filters), and `depth` convolutions more.

    Where it is the `first` of a discriminator, its own convolution is not normalized, as in DCGAN.
    """
    chain = []
    for i in range(1 + depth):
        kernel_size, strides = (3, 1) if i else (4, 2)
        chain += [
            layers.Conv2D(filters, kernel_size, strides, "same", **options(normalization)),
            *([] if first and i == 0 else normalize(normalization, filters)),
            layers.LeakyReLU(0.2),
            *dropout(rate),
        ]
    return chain


def up_to_image(channels: int, upsampling: str) -> list:
    """Returns the last layers of a generator, (n, h, w, c) -> (n, 2h, 2w, channels) in [-1, 1], always in float32."""
    return upsample(
        channels, upsampling, use_bias=False, activation="tanh", kernel_initializer=normal(), dtype="float32"
    )


def generator(noise_shape, image_shape, width=64, labels=0, depth=0, upsampling="transpose", normalization="batch"):
    """Generator: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    It has 160 w^2 + 64 w z + 118 w trainable weights at 32 x 32 x 3.
    """
    start, count = count_doublings(image_shape[0])
    widths = [width * 2**i for i in reversed(range(count))]
    blocks = depth, upsampling, normalization
    return build_generator(
        noise_shape,
        flatten_noise(noise_shape),  # z
        [
            layers.Dense(start * start * widths[0], kernel_initializer=normal()),
            layers.Reshape((start, start, widths[0])),  # 4 x 4 x 4w
            *(layer for filters in widths[1:] for layer in up(filters, *blocks)),  # 8 x 8 x 2w, 16 x 16 x w
            *up_to_image(image_shape[-1], upsampling),  # 32 x 32 x 3
        ],
        labels,
    )


def generator_from_2x2(
    noise_shape, image_shape, width=64, labels=0, depth=0, upsampling="transpose", normalization="batch"
):
    """Generator that starts at 2 x 2 x 16w: noise (n, *noise_shape) -> images (n, h, w, c) in [-1, 1].

    Source: the model printed in github.com/saisravanth/udacity, 5,267,328 trainable weights at width 64, z = 100.
    """
    start, count = count_doublings(image_shape[0], smallest=2)
    widths = [width * 2**i for i in reversed(range(count - 1))]
    blocks = depth, upsampling, normalization
    return build_generator(
        noise_shape,
        flatten_noise(noise_shape),  # z
        [
            layers.Dense(start * start * 4 * widths[0], kernel_initializer=normal()),
            layers.Reshape((start, start, 4 * widths[0])),  # 2 x 2 x 16w
            *(layer for filters in widths for layer in up(filters, *blocks)),  # 4 x 4 x 4w, 8 x 8 x 2w, 16 x 16 x w
            *up_to_image(image_shape[-1], upsampling),  # 32 x 32 x 3
        ],
        labels,
    )


def discriminator(
    image_shape, width=64, rate=0.0, labels=0, auxiliary=False, depth=0, normalization="batch", stddev=False
):
    """Discriminator: images (n, h, w, c) in [-1, 1] -> logits (n, 1), high for real; dropout by `rate`.

    It has 160 w^2 + 124 w + 1 trainable weights at 32 x 32 x 3.
    """
    _, count = count_doublings(image_shape[0])
    chain = down(width, rate, depth, normalization, first=True)  # 16 x 16 x w
    for i in range(1, count):  # 8 x 8 x 2w, 4 x 4 x 4w
        chain += down(width * 2**i, rate, depth, normalization)
    chain += [*minibatch_stddev(stddev), layers.Flatten()]
    chain += [layers.Dense(1, kernel_initializer=normal(), dtype="float32")]
    return build_discriminator(
        image_shape,
        constrain(chain, normalization),
        labels,
        auxiliary,
    )
