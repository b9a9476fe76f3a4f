"""DiffAugment: against an independent implementation, by hand, as a distribution, and through its derivatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan import DCGAN, NOISE_DISTRIBUTIONS
from gan.training.discriminator_augmentation import diffaugment, is_cut, move, scale_to_integer
from gan.training.losses import LOSSES
from gan.training.optimizers import build_optimizer
from gan.training.regularizers import Penalty, r1

SEED = tf.constant([3, 4], tf.int64)


def images(count, side=16, seed=0):
    """Images of random pixels."""
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, (count, side, side, 3)), tf.float32)


def augment_as_published(image, numbers, probability):
    """Augments one image step after step, as DiffAugment_tf.py of the paper's authors does, by the given numbers."""
    *sizes, b, s, c, t, k = numbers
    side, image = len(image), image.astype(np.float64)
    if b < probability:
        image = image + sizes[0] - 0.5
    if s < probability:
        mean = image.mean(axis=2, keepdims=True)
        image = (image - mean) * 2 * sizes[1] + mean
    if c < probability:
        image = (image - image.mean()) * (sizes[2] + 0.5) + image.mean()
    if t < probability:
        shift = int(side * 0.125 + 0.5)
        down, right = (int(number * (2 * shift + 1)) - shift for number in sizes[3:5])
        padded = np.pad(image, ((shift, shift), (shift, shift), (0, 0)))
        image = padded[shift + down :, shift + right :][:side, :side]
    if k < probability:
        size = side // 2
        corner = [int(number * (side + 1 - size % 2)) - size // 2 for number in sizes[5:7]]
        rows, columns = (np.clip(np.arange(first, first + size), 0, side - 1) for first in corner)
        image = image.copy()
        image[np.ix_(rows, columns)] = 0
    return image


@pytest.mark.parametrize("side", [12, 16, 28])
@pytest.mark.parametrize("probability", [0.4, 1.0])
def test_against_the_published_code(side, probability):
    """It equals the authors' steps, one after another, in NumPy."""
    before = images(40, side)
    numbers = tf.random.stateless_uniform((40, 12), SEED).numpy()
    expected = [augment_as_published(*one, probability) for one in zip(before.numpy(), numbers, strict=True)]
    after = diffaugment(before, SEED, probability)
    np.testing.assert_allclose(after, expected, atol=2e-6)
    assert np.abs(after - before).max() > 0.5


def test_probability_0_changes_nothing():
    """With probability 0, also as a tensor, every pixel stays as it is."""
    for probability in (0.0, tf.constant(0.0)):
        np.testing.assert_array_equal(diffaugment(images(20), SEED, probability), images(20))


def test_share_of_unchanged_images():
    """With probability 1/2, an image escapes five changes with (1/2)^5; 1 of 25 translations of 16 x 16 is none."""
    before = images(6000)
    same = np.all(diffaugment(before, SEED, 0.5) == before, axis=(1, 2, 3)).mean()
    assert same == pytest.approx(0.5**4 * (0.5 + 0.5 / 25), abs=0.005)


def test_distribution():
    """Gray stays gray, brighter by -1/2 to 1/2 evenly; the square covers (116 / 17)^2 of 256 pixels on average.

    Its sides are 8 of 16, with the middle at 0 to 16, so a row is covered in 8 cases, less where the square reaches
    over the edge: 9 * 8 + 2 * (4 + 5 + 6 + 7) = 116 rows in 17 cases. The middle pixels are within every translation.
    """
    after = diffaugment(tf.fill((8000, 16, 16, 3), 0.25), SEED, 1.0).numpy()
    np.testing.assert_allclose(after[..., :1], after[..., 1:2], atol=1e-6)
    middle = after[:, 2:-2, 2:-2, 0]
    brightness = middle.reshape(8000, -1).sum(axis=1) / np.maximum((middle != 0).sum(axis=(1, 2)), 1) - 0.25
    brightness = brightness[(middle != 0).any(axis=(1, 2))]
    assert -0.5 <= brightness.min() < -0.49 and 0.49 < brightness.max() <= 0.5
    assert brightness.mean() == pytest.approx(0, abs=0.01) and brightness.var() == pytest.approx(1 / 12, abs=0.003)
    rows, columns = (
        is_cut(16, scale_to_integer(tf.random.stateless_uniform((8000,), (5, i)), 17)).numpy() for i in (0, 1)
    )
    covered = (rows[:, :, None] & columns[:, None, :]).sum(axis=(1, 2))
    assert covered.mean() == pytest.approx((116 / 17) ** 2, abs=0.4)


def test_random_numbers():
    """They are a function of the seed, and each image has its own."""
    same = tf.tile(images(1), (6, 1, 1, 1))
    first = diffaugment(same, SEED, 1.0).numpy()
    np.testing.assert_array_equal(first, diffaugment(same, SEED, 1.0))
    other = diffaugment(same, tf.constant([3, 5], tf.int64), 1.0).numpy()
    assert len({image.tobytes() for image in [*first, *other]}) == 12


def test_move_by_hand():
    """The pixel at (y, x) is that from (y + down, x + right); what is from outside or not kept is 0.

    The gradient moves back: the derivative of the sum of gradient * moved is where each pixel went.
    """
    image = tf.reshape(tf.range(64.0), (1, 8, 8, 1))
    keep = tf.constant(np.arange(64).reshape(1, 8, 8) != 9)
    with tf.GradientTape() as tape:
        tape.watch(image)
        moved = move(image, tf.constant([1]), tf.constant([-1]), keep)
    pixels = moved.numpy()[0, :, :, 0]
    np.testing.assert_array_equal(pixels[:2, :4], [[0, 8, 9, 10], [0, 0, 17, 18]])
    assert not pixels[-1].any() and not pixels[:, 0].any()
    back = tape.gradient(moved, image, output_gradients=image).numpy()[0, :, :, 0]
    np.testing.assert_array_equal(back[:3, :4], [[0, 0, 0, 0], [1, 2, 3, 4], [0, 10, 11, 12]])
    assert not back[:, -1].any()


def test_second_derivatives():
    """The gradient of R1 through the augmentation is that of finite differences; D is quadratic in its weights."""
    real, weight = images(3, 8), tf.Variable(images(1, 8, seed=1))

    def penalty():
        return r1(lambda x: tf.reduce_sum((diffaugment(x, SEED, 0.8) * weight) ** 2, axis=[1, 2, 3]), real, None)

    with tf.GradientTape() as tape:
        value = penalty()
    gradient, direction = tape.gradient(value, weight), images(1, 8, seed=2)
    ends = []
    for step in (0.01, -0.02):
        weight.assign_add(step * direction)
        ends.append(float(penalty()))
    assert (ends[0] - ends[1]) / 0.02 == pytest.approx(float(tf.reduce_sum(gradient * direction)), rel=2e-3)


def train_on_gray(augment, steps=100):
    """Trains a GAN of one color per image on images of the gray 0.3; returns the mean and deviation of its samples."""
    keras.utils.set_random_seed(2)
    generator = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.3)),
            keras.layers.Reshape((1, 1, 1)),
            keras.layers.UpSampling2D(8),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(32, "relu"),
            keras.layers.Dense(1),
        ]
    )
    gan = DCGAN(
        generator, discriminator, g_optimizer=build_optimizer("adam", 0.01, (0.5, 0.99)),
        d_optimizer=build_optimizer("adam", 0.01, (0.5, 0.99)), loss=LOSSES["cross-entropy"],
        noise=NOISE_DISTRIBUTIONS["normal"], penalty=Penalty(r1, 0.05), augment=augment,
    )  # fmt: skip
    batch = tf.fill((64, 8, 8, 1), 0.3), tf.zeros((64, 0))
    for _ in range(steps):
        gan.train_step(batch)
    samples = gan.generate_images(gan.fixed_noise(500)).numpy()[:, 0, 0, 0]
    return samples.mean(), samples.std()


def test_augmentations_do_not_leak():
    """After training on images of one gray, samples have that gray, though the discriminator never sees it alone.

    With the real images alone augmented, their mean is 0.01.
    """
    mean, deviation = train_on_gray(diffaugment)
    assert mean == pytest.approx(0.3, abs=0.08) and deviation < 0.1
