"""Augmentations of what the discriminator sees: random, differentiable changes of real images and fakes alike.

    augmentation = DISCRIMINATOR_AUGMENTATIONS["diffaugment"]
    seen = augmentation.function(images, seed, probability)  # images float32 (n, h, w, c) in [-1, 1], seed int64 (2,)

With few training images a discriminator learns them by heart; what changes at every look is harder to learn. As fakes
are changed in the same way, and gradients flow back through the changes, the generator learns the images as they are:
its samples show none of the changes. To add one, write its function, a row of `DISCRIMINATOR_AUGMENTATIONS`, and its
name in gan/config.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from gan.replicas import draw_part

RANDOM_NUMBERS = 12  # of one image: seven that say how much, then five that say whether


def diffaugment(images, seed, probability):
    """Changes the color of images, moves them, and cuts a part out of them. arXiv:2006.10738, as its authors' code.

    In this order, each with the given probability, independent of the others and for each image on its own: brightness
    (adds -0.5 to 0.5), saturation (0 to 2 times the difference of channels from their mean), contrast (0.5 to 1.5 times
    the difference from the image's mean), translation (by up to 1/8 of each side, into zeros), cutout (zeros in a
    square of half the side, which may reach over the edge). Probability 0 returns the same pixels.

    Arguments:
        images: float32 (n, h, w, c) in [-1, 1]. The result may be beyond that range.
        seed: int64 (2,), which alone decides all random numbers.
        probability: a number, or a scalar tensor.

    Second derivatives, which R1 needs, are exact.
    """
    height, width = images.shape[1:3]

    def draw(count):
        return tf.random.stateless_uniform((count, RANDOM_NUMBERS), seed)

    numbers = tf.unstack(draw_part(draw, tf.shape(images)[0]), axis=1)
    brightness, saturation, contrast, down, right, middle_y, middle_x, *rest = numbers
    use_brightness, use_saturation, use_contrast, use_translation, use_cutout = (one < probability for one in rest)
    images = change_color(
        images,
        brightness=tf.where(use_brightness, brightness - 0.5, 0.0),
        saturation=tf.where(use_saturation, 2 * saturation, 1.0),
        contrast=tf.where(use_contrast, contrast + 0.5, 1.0),
    )
    down, right = (
        tf.where(use_translation, scale_to_integer(number, 2 * shift + 1) - shift, 0)
        for number, shift in ((down, (height + 4) // 8), (right, (width + 4) // 8))  # 1/8, rounded
    )
    rows, columns = (
        is_cut(side, scale_to_integer(number, side + 1 - side // 2 % 2))
        for number, side in ((middle_y, height), (middle_x, width))
    )
    return move(images, down, right, ~(rows[:, :, None] & columns[:, None, :] & use_cutout[:, None, None]))


def change_color(images, brightness, saturation, contrast):
    """Adds brightness, scales differences from each pixel's mean by saturation, and those from the image's by contrast.

    `images` is (n, h, w, c), the others (n,). The three are one affine function of a pixel's channels, which takes a
    fifth of the time of one after another.
    """
    count, channels = tf.shape(images)[0], images.shape[-1]
    mean = tf.reduce_mean(tf.reshape(images, (count, -1)), axis=1)  # whose gradient is faster than over three axes
    scale, mixture = contrast * saturation, contrast * (1 - saturation) / channels
    matrices = scale[:, None, None] * tf.eye(channels) + mixture[:, None, None]  # x -> scale x + mixture sum(x)
    mixed = tf.matmul(tf.reshape(images, (count, -1, channels)), matrices)
    return tf.reshape(mixed, tf.shape(images)) + ((1 - contrast) * mean + brightness)[:, None, None, None]


@tf.custom_gradient
def move(images, down, right, keep):
    """Returns images (n, h, w, c) whose pixel (y, x) is that at (y + down, x + right), 0 where that is outside.

    `down` and `right` are int32 (n,). Where `keep`, bool (n, h, w) or scalar, is False, the result is 0, too. The
    gradient is the move back, which takes no longer; TensorFlow's own, of a gather, would be a sum over scattered
    pixels.
    """
    height, width, channels = images.shape[1:]
    rows, columns = tf.range(height) + down[:, None], tf.range(width) + right[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    mask = tf.cast(inside & keep, images.dtype)[..., None]
    lines = tf.range(tf.shape(images)[0])[:, None] * height + tf.clip_by_value(rows, 0, height - 1)
    numbers = lines[:, :, None] * width + tf.clip_by_value(columns, 0, width - 1)[:, None, :]  # among all pixels
    moved = tf.gather(tf.reshape(images, (-1, channels)), numbers) * mask
    return moved, lambda gradient: (move(gradient * mask, -down, -right, tf.constant(True)), None, None, None)


def is_cut(side: int, middle):
    """Whether each of `side` rows or columns is within half a side that is centered at `middle`: (n,) -> (n, side)."""
    start = (middle - side // 2 // 2)[:, None]
    return (tf.range(side) >= start) & (tf.range(side) < start + side // 2)


def scale_to_integer(numbers, count: int):
    """Maps numbers in [0, 1) to int32 from 0 to count - 1."""
    return tf.cast(numbers * count, tf.int32)


class DiscriminatorAugmentation(NamedTuple):
    """What is done to all images that the discriminator sees, those of penalties included.

    `function` is (images, seed, probability) -> images, differentiable twice; None does nothing. Where it is
    `adaptive`, `gan.training.ada` adapts the probability, which is else 1.
    """

    function: Callable | None = None
    adaptive: bool = False


# ADA has the same changes, for the sake of one implementation. Of its own, mirroring is what --augmentation flip does
# for the real images, for which samples are to be mirrored too; turning by 90 degrees, which it applies to faces as
# well, tells little about a face that is never upside down, and leaks first as the probability grows (section 2.2).
DISCRIMINATOR_AUGMENTATIONS = {
    "none": DiscriminatorAugmentation(),
    "diffaugment": DiscriminatorAugmentation(diffaugment),
    "ada": DiscriminatorAugmentation(diffaugment, adaptive=True),
}
