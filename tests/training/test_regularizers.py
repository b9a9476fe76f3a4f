import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from gan.training.regularizers import ESTIMATED_AT, REGULARIZERS, FiniteDifference, Penalty, gradient_penalty, r1
from models.layers import BatchNormalization


def faces(*shape, dtype="float32", seed=0):
    """Random pixels of a given shape."""
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, shape), dtype)


def smooth_discriminator():
    """A small differentiable discriminator, in float64 for precise finite differences."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 2), dtype="float64"),
            layers.Conv2D(3, 3, 2, "same", activation="tanh", dtype="float64"),
            layers.Flatten(dtype="float64"),
            layers.Dense(1, dtype="float64"),
        ]
    )
    model.set_weights([1.5 * weight + 0.1 for weight in model.get_weights()])
    return model


def finite_difference(function, array, step=1e-5):
    """The gradient of a scalar function of a NumPy array, by central differences."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        above, below = array.copy(), array.copy()
        above[index] += step
        below[index] -= step
        gradient[index] = (function(above) - function(below)) / (2 * step)
    return gradient


def test_r1_of_a_linear_discriminator():
    """R1 of D(x) = w . x is |w|^2 / 2 for any images and batch size."""
    weight = tf.reshape(tf.constant([1.0, -2.0, 3.0, 4.0]), (2, 2, 1))
    for n in (1, 5):
        penalty = r1(lambda x: tf.reduce_sum(x * weight, axis=[1, 2, 3])[:, None], faces(n, 2, 2, 1), None)
        assert penalty.shape == () and float(penalty) == pytest.approx(15.0)


def test_r1_is_the_mean_over_images():
    """R1 of D(x) = |x|^2 / 2, whose gradient is x, is the mean over the batch of |x|^2 / 2."""
    real = faces(3, 2, 2, 3)
    penalty = r1(lambda x: tf.reduce_sum(x**2, axis=[1, 2, 3])[:, None] / 2, real, None)
    assert float(penalty) == pytest.approx(float((real.numpy() ** 2).sum() / 3 / 2), rel=1e-6)


def test_r1_ignores_fakes():
    """R1 is the gradient at real images only (arXiv:1801.04406); the discriminator is not called with fakes."""
    seen = []
    r1(lambda x: seen.append(x.shape) or tf.reduce_sum(x, axis=[1, 2, 3]), faces(3, 4, 4, 1), faces(7, 4, 4, 1))
    assert [shape[0] for shape in seen] == [3]


def test_r1_against_finite_differences():
    """The penalty of a convolutional discriminator equals that of gradients by central differences."""
    model, real = smooth_discriminator(), faces(2, 4, 4, 2, dtype="float64")
    gradients = finite_difference(lambda x: float(tf.reduce_sum(model(x))), real.numpy())
    expected = (gradients**2).sum(axis=(1, 2, 3)).mean() / 2
    assert expected > 0.01
    assert float(r1(model, real, None)) == pytest.approx(expected, rel=1e-7)


def test_gradient_of_r1_against_finite_differences():
    """The gradient of the penalty in a kernel equals that by central differences."""
    model, real = smooth_discriminator(), faces(2, 4, 4, 2, dtype="float64")
    kernel = model.layers[0].kernel
    with tf.GradientTape() as tape:
        penalty = r1(model, real, None)
    gradient = tape.gradient(penalty, kernel.value)

    def at(values):
        kernel.assign(values)
        return float(r1(model, real, None))

    expected = finite_difference(at, kernel.numpy())
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("of_vectors", [False, True])
def test_r1_through_batch_norm(of_vectors):
    """The second derivatives of batch norm, fused or of vectors, equal those of its formula in basic operations.

    keras.layers.BatchNormalization has others, as its variance has no gradient in the mean.
    """
    rng = np.random.default_rng(2)
    kernel, out = (tf.Variable(rng.normal(size=shape), dtype=tf.float32) for shape in [(3, 3, 3, 4), (4, 1)])
    norm = BatchNormalization(epsilon=1e-3)
    norm.build((None, 4) if of_vectors else (None, 6, 6, 4))
    norm.gamma.assign(rng.uniform(0.5, 1.5, 4))

    def composed(x):
        axes = list(range(len(x.shape) - 1))
        offset = x - tf.reduce_mean(x, axes)
        return norm.gamma * offset / tf.sqrt(tf.reduce_mean(offset**2, axes) + 1e-3)

    def convolve(x):
        maps = tf.nn.conv2d(x, kernel, 1, "SAME")
        return tf.reduce_sum(maps, [1, 2]) if of_vectors else maps

    results = []
    for normalize in (composed, lambda x: norm(x, training=True)):
        with tf.GradientTape() as tape:
            penalty = r1(
                lambda x, normalize=normalize: tf.tanh(normalize(convolve(x))) @ out,
                faces(5, 6, 6, 3), None,
            )  # fmt: skip
        results.append([penalty, *tape.gradient(penalty, [kernel, out, norm.gamma.value])])
    for written, fused in zip(*results, strict=True):
        assert np.abs(written).max() > 0.01
        np.testing.assert_allclose(fused, written, rtol=1e-3, atol=1e-4 * np.abs(written).max())


def test_r2_is_r1_of_fakes():
    """R2 of D(x) = |x|^2 / 2 is the mean over the fakes of |x|^2 / 2, and "r1+r2" is the sum of both penalties."""
    real, fake = faces(3, 2, 2, 3), faces(5, 2, 2, 3, seed=1)
    discriminate = lambda x: tf.reduce_sum(x**2, axis=[1, 2, 3])[:, None] / 2  # noqa: E731
    r1_value, r2_value = (float((images.numpy() ** 2).sum() / len(images) / 2) for images in (real, fake))
    assert float(REGULARIZERS["r2"](discriminate, real, fake)) == pytest.approx(r2_value, rel=1e-6)
    assert float(REGULARIZERS["r1+r2"](discriminate, real, fake)) == pytest.approx(r1_value + r2_value, rel=1e-6)


def test_gradient_penalty_by_hand():
    """Of D(x) = w . x it is (|w| - 1)^2; of D(x) = |x|^2 / 2, the mean of (|x| - 1)^2 at the points in between."""
    weight, seed = tf.constant([[2.0], [-3.0], [6.0]]), tf.constant([3, 4], tf.int64)
    real, fake = faces(5, 1, 1, 3), faces(5, 1, 1, 3, seed=1)
    penalty = gradient_penalty(lambda x: tf.reshape(x, (-1, 3)) @ weight, real, fake, seed)
    assert float(penalty) == pytest.approx((7 - 1) ** 2, rel=1e-5)
    seen = []
    square = lambda x: seen.append(x) or tf.reduce_sum(x**2, axis=[1, 2, 3])[:, None] / 2  # noqa: E731
    penalty = gradient_penalty(square, real, fake, seed)
    norms = np.linalg.norm(seen[0].numpy().reshape(5, 3), axis=1)
    assert float(penalty) == pytest.approx(np.mean((norms - 1) ** 2), rel=1e-5)
    share = (seen[0] - fake) / (real - fake)  # one number for each image, from 0 to 1
    np.testing.assert_allclose(share, np.broadcast_to(share[..., :1], share.shape), atol=1e-4)
    assert 0 <= share.numpy().min() < share.numpy().max() < 1


def test_gradient_penalty_of_a_constant_is_finite():
    """A discriminator that ignores its input has slope 0, penalty 1, and finite second derivatives."""
    weight = tf.Variable([[0.0]])
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(
            lambda x: tf.reshape(x, (-1, 1)) @ weight, faces(4, 1, 1, 1), faces(4, 1, 1, 1), (0, 0)
        )
    assert float(penalty) == pytest.approx(1, abs=1e-5)
    assert np.isfinite(tape.gradient(penalty, weight)).all()


def test_finite_differences_estimate_r1():
    """Over many directions at a few images, the mean is R1; each is the squared derivative in its direction."""
    model, images = smooth_discriminator(), faces(2, 4, 4, 2, dtype="float64")
    many = tf.repeat(images, 4000, axis=0)
    difference = FiniteDifference(ESTIMATED_AT["r1"], 1e-4)
    direction = tf.cast(difference.direction(many, (1, 2)), tf.float64)
    near = model(many + 1e-4 * direction)
    estimate = float(difference.estimate(model(many), near))
    slopes = finite_difference(lambda x: float(tf.reduce_sum(model(x))), images.numpy()).repeat(4000, axis=0)
    along = (slopes * direction).numpy().sum(axis=(1, 2, 3))
    assert estimate == pytest.approx(np.mean(along**2) / 2, rel=1e-3)
    assert estimate == pytest.approx(float(r1(model, images, None)), rel=0.05)  # whose standard error is 1.6%


def test_which_regularizers_are_estimated():
    """All are but "none", which is None, and that of WGAN-GP."""
    assert REGULARIZERS["none"] is None
    assert set(ESTIMATED_AT) == set(REGULARIZERS) - {"none", "gradient"}


def test_penalty():
    """Every third iteration from the first has one; a regularizer is known by its arguments or its type."""
    assert [i for i in range(8) if Penalty(r1, every=3).is_due(i)] == [0, 3, 6]
    kinds = [Penalty(each) for each in (r1, gradient_penalty, FiniteDifference(ESTIMATED_AT["r1"], 0.1))]
    assert [each.is_random for each in kinds] == [False, True, False]
    assert [each.is_estimated for each in kinds] == [False, False, True]
    assert Penalty(r1).choose_rows(tf.constant(6)) is None
    assert Penalty(r1, share=0.5).choose_rows(tf.constant(6)).numpy().tolist() == [0, 2, 4]
