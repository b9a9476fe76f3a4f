"""A calibrated average: its batch norm fits its weights, and its samples vary as real images do."""

import keras
import numpy as np
import pytest
from keras import layers

from gan.images import to_float
from gan.training import ema
from models import GENERATORS


def batches(seed=1, size=100, shape=(3,)):
    """Noise (size, *shape) by number."""
    return lambda i: np.random.default_rng([seed, i]).normal(size=(size, *shape)).astype(np.float32)


def network(*inner):
    """Noise (n, 3) -> "faces" (n, 2, 2, 3), linear but for what is put in."""
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input((3,)), layers.Dense(12), *inner, layers.Reshape((2, 2, 3))])


def drawn(one, scale=1.0, shape=(3,)):
    """What it draws from fresh noise."""
    noise = batches(5, shape=shape)
    return np.concatenate([one(scale * noise(i), training=False) for i in range(20)])


def variation(faces):
    """The sum of the variances of all pixels' colours, all faces at once."""
    return faces.var(axis=0, dtype=np.float64).sum()


def test_dataset_variance_is_the_sum_of_variances():
    """Two faces, black and white but for one value: 11 values of variance 1 and one of 0; mirrored, that one varies."""
    faces = np.zeros((2, 2, 2, 3), np.uint8)
    faces[1] = 255
    faces[:, 0, 0, 0] = 0
    assert ema.dataset_variance(faces, mirrored=False) == pytest.approx(11)
    # The two places that mirror one another hold 0, 0, 0 and 255: a variance of 3/4 each.
    assert ema.dataset_variance(faces, mirrored=True) == pytest.approx(10 + 2 * 0.75)
    many = np.random.default_rng(0).integers(0, 256, (250, 4, 4, 3)).astype(np.uint8)  # in batches of 100
    both = to_float(np.concatenate([many, many[:, :, ::-1]]).astype(np.float32))
    assert ema.dataset_variance(many, mirrored=True) == pytest.approx(variation(both), rel=1e-6)


@pytest.mark.parametrize("off", [0.9, 1.1])
def test_faces_vary_as_they_should(off):
    """A linear network whose variance is off by a fifth is scaled to within what 2,000 samples can tell."""
    one = network()
    wanted = variation(drawn(one, off))
    ema.Calibrator(one, wanted)(one, batches())
    assert variation(drawn(one)) == pytest.approx(wanted, rel=0.05)


def test_white_noise():
    """Its mean is 0 and its covariance that of the noise, were that but chance; moved by little; if it can be."""
    noise = np.random.default_rng(0).uniform(-1, 1, (20, 100, 5, 2)).astype(np.float32)
    white = ema.whiten(noise.__getitem__, 20)
    batches = np.stack([white(i) for i in range(20)])
    assert batches.shape == noise.shape and batches.dtype == np.float32
    flat = batches.reshape(2000, 10).astype(np.float64)
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(flat.T @ flat / 2000, np.eye(10) * noise.var(), atol=0.001)
    assert np.abs(batches - noise).max() < 0.15
    few = ema.whiten(noise[:, :3].__getitem__, 13)  # 39 rows of 10 numbers
    np.testing.assert_array_equal(few(1), noise[1, :3])


def test_chance_in_the_noise_hardly_counts():
    """A nearly linear network's variance is told three times as surely by its samples from white noise."""
    kernel = np.random.default_rng(0).normal(size=(64, 12)) / np.arange(1, 13) ** 2  # as of faces: one is most of all
    plain, white = [], []
    for seed in range(30):
        noise = np.random.default_rng(seed).normal(size=(10, 100, 64))
        plain.append(variation(np.tanh(0.05 * noise.reshape(-1, 64) @ kernel)))
        batch = ema.whiten(noise.__getitem__, 10)
        white.append(variation(np.tanh(0.05 * np.concatenate([batch(i) for i in range(10)]) @ kernel)))
    assert np.std(white) < np.std(plain) / 3
    assert np.mean(white) == pytest.approx(np.mean(plain), rel=0.01)


def test_help_has_an_end():
    """A generator that has collapsed, or one that draws one thing only, is not blown up."""
    one = network()
    before = variation(drawn(one))
    ema.Calibrator(one, 100 * before)(one, batches())
    assert variation(drawn(one)) == pytest.approx(ema.MAX_SCALE**2 * before, rel=0.01)
    dead = network()
    dead.layers[0].kernel.assign(np.full((3, 12), 1e-5))
    dead.layers[0].bias.assign(np.full(12, 0.3))  # one grey, all but exactly
    assert ema.Calibrator(dead, 1.0).find_noise_scale(batches()) == 1.0
    for kernel in (np.full((3, 12), 1e-5), np.zeros((3, 12))):
        dead.layers[0].kernel.assign(kernel)
        ema.Calibrator(dead, 1.0)(dead, batches())
        np.testing.assert_array_equal(dead.layers[0].kernel, kernel.astype(np.float32))


def test_statistics_are_measured_one_upon_the_other():
    """Each batch norm ends with the mean and variance of what comes to it when those before it are re-estimated."""
    one = network(layers.BatchNormalization(), layers.LeakyReLU(0.2), layers.Dense(12), layers.BatchNormalization())
    for layer in one.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.full(12, 9.0))
            layer.moving_mean.assign(np.full(12, 5.0))
    ema.Calibrator(one, 0.0).reestimate_batch_norm(batches(size=400))
    noise = np.concatenate([batches(size=400)(i) for i in range(ema.STATISTICS_BATCHES)])
    x = noise
    for layer in one.layers:
        if isinstance(layer, layers.BatchNormalization):
            np.testing.assert_allclose(layer.moving_mean, x.mean(0), atol=0.02)
            np.testing.assert_allclose(layer.moving_variance, x.var(0), rtol=0.02)
            assert layer.momentum == 0.99  # as it was
        x = layer(x, training=False).numpy()


def test_no_batch_norm_and_no_kernel():
    """Networks that have none are left as they are."""
    plain = keras.Sequential([keras.Input((3,)), layers.Reshape((1, 1, 3))])
    ema.Calibrator(plain, 1.0)(plain, batches())
    np.testing.assert_array_equal(plain(batches()(0)).numpy()[:, 0, 0], batches()(0))


@pytest.mark.parametrize(
    ("name", "precision", "shape"),
    [
        *((name, "float32", (3,)) for name in GENERATORS),
        *(("self-modulated", "mixed_bfloat16", shape) for shape in [(3,), (16, 16, 3)]),
    ],
)
def test_calibration_is_louder_noise(float32_afterwards, name, precision, shape):
    """Calibration does to a generator what louder noise does, wherever noise comes in, in any precision."""
    keras.utils.set_random_seed(3)
    keras.mixed_precision.set_global_policy(precision)
    one = GENERATORS[name](shape, (16, 16, 3), 2)
    keras.mixed_precision.set_global_policy("float32")
    one.set_weights([w if w.ndim == 1 else 3 * w / np.sqrt(np.prod(w.shape[:-1])) / w.std() for w in one.get_weights()])
    ema.Calibrator(one, 0.0).reestimate_batch_norm(batches(shape=shape))
    before = keras.models.clone_model(one)
    before.set_weights(one.get_weights())
    wanted = 1.2 * variation(drawn(one, shape=shape))
    times = ema.Calibrator(one, wanted).find_noise_scale(batches(shape=shape))
    ema.Calibrator(one, wanted)(one, batches(shape=shape))
    louder, plain = drawn(before, times, shape), drawn(before, shape=shape)
    error, effect = np.abs(drawn(one, shape=shape) - louder).mean(), np.abs(louder - plain).mean()
    assert error < (0.001 if precision == "float32" else 0.3) * effect and effect > 1e-4


def test_compiled_once():
    """Calibrating again, from other weights, traces nothing anew and gives what a fresh calibrator gives."""
    one, other = network(layers.BatchNormalization()), network(layers.BatchNormalization())
    weights = [2 * weight + 0.1 for weight in one.get_weights()]
    calibrator = ema.Calibrator(one, 3.0)
    calibrator(one, batches())
    one.set_weights(weights), other.set_weights(weights)
    calibrator(one, batches())
    ema.Calibrator(other, 3.0)(other, batches())
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for function in (calibrator.generate, calibrator.generate_in_training_mode):
        assert function.experimental_get_tracing_count() == 1
    with pytest.raises(ValueError):
        calibrator(other, batches())
