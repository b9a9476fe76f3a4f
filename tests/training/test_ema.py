"""Calibration of the EMA: statistics of batch norm fit the weights, and samples vary as much as real images."""

import keras
import numpy as np
import pytest
from helpers import each_generator
from keras import layers

from gan.images import to_float
from gan.training import ema
from models import GENERATORS


def batches(seed=1, size=100, shape=(3,)):
    """A function from a batch's number to noise (size, *shape)."""
    return lambda i: np.random.default_rng([seed, i]).normal(size=(size, *shape)).astype(np.float32)


def network(*inner):
    """A network of noise (n, 3) -> images (n, 2, 2, 3), linear except for the layers `inner`."""
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input((3,)), layers.Dense(12), *inner, layers.Reshape((2, 2, 3))])


def generate(generator, scale=1.0, shape=(3,), count=20):
    """The samples of `count` batches of noise that calibration does not use."""
    noise = batches(5, shape=shape)
    return np.concatenate([generator(scale * noise(i), training=False) for i in range(count)])


def variation(faces):
    """The sum of the variances of all values of a pixel, computed without batches."""
    return faces.var(axis=0, dtype=np.float64).sum()


def test_dataset_variance_is_the_sum_of_variances():
    """A black and a white image that agree in one of 12 values have variance 11; mirroring makes that value vary."""
    faces = np.zeros((2, 2, 2, 3), np.uint8)
    faces[1] = 255
    faces[:, 0, 0, 0] = 0
    assert ema.dataset_variance(faces, mirrored=False) == pytest.approx(11)
    # The two mirrored positions have the values 0, 0, 0 and 255 each, of variance 3/4.
    assert ema.dataset_variance(faces, mirrored=True) == pytest.approx(10 + 2 * 0.75)
    many = np.random.default_rng(0).integers(0, 256, (250, 4, 4, 3)).astype(np.uint8)  # in batches of 100
    both = to_float(np.concatenate([many, many[:, :, ::-1]]).astype(np.float32))
    assert ema.dataset_variance(many, mirrored=True) == pytest.approx(variation(both), rel=1e-6)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_variance_is_corrected(factor):
    """Calibration corrects the variance of a linear network, within the error of 2,000 samples."""
    generator = network()
    wanted = variation(generate(generator, factor))
    ema.Calibrator(generator, wanted)(batches())
    assert variation(generate(generator)) == pytest.approx(wanted, rel=0.05)


def test_whiten():
    """Whitened noise has mean 0 and a multiple of the identity as covariance, and differs little from the noise.

    Noise of fewer than 4 rows per component is unchanged.
    """
    noise = np.random.default_rng(0).uniform(-1, 1, (20, 100, 5, 2)).astype(np.float32)
    white = ema.whiten(noise.__getitem__, 20)
    batches = np.stack([white(i) for i in range(20)])
    assert batches.shape == noise.shape and batches.dtype == np.float32
    flat = batches.reshape(2000, 10).astype(np.float64)
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(flat.T @ flat / 2000, np.eye(10) * noise.var(), atol=0.001)
    assert np.abs(batches - noise).max() < 0.15
    few = ema.whiten(noise[:, :3].__getitem__, 13)  # 39 rows of 10 components
    np.testing.assert_array_equal(few(1), noise[1, :3])


def test_whitening_reduces_the_error_of_the_variance():
    """Whitening the noise reduces the error of a nearly linear network's variance to less than a third."""
    kernel = np.random.default_rng(0).normal(size=(64, 12)) / np.arange(1, 13) ** 2  # one component dominates
    plain, white = [], []
    for seed in range(30):
        noise = np.random.default_rng(seed).normal(size=(10, 100, 64))
        plain.append(variation(np.tanh(0.05 * noise.reshape(-1, 64) @ kernel)))
        batch = ema.whiten(noise.__getitem__, 10)
        white.append(variation(np.tanh(0.05 * np.concatenate([batch(i) for i in range(10)]) @ kernel)))
    assert np.std(white) < np.std(plain) / 3
    assert np.mean(white) == pytest.approx(np.mean(plain), rel=0.01)


def test_scale_is_limited():
    """The scale of a collapsed generator is limited to MAX_SCALE, and that of a constant one is 1."""
    generator = network()
    before = variation(generate(generator))
    ema.Calibrator(generator, 100 * before)(batches())
    assert variation(generate(generator)) == pytest.approx(ema.MAX_SCALE**2 * before, rel=0.01)
    constant = network()
    constant.layers[0].kernel.assign(np.full((3, 12), 1e-5))
    constant.layers[0].bias.assign(np.full(12, 0.3))  # nearly constant gray images
    assert ema.Calibrator(constant, 1.0).find_noise_scale(batches()) == 1.0
    for kernel in (np.full((3, 12), 1e-5), np.zeros((3, 12))):
        constant.layers[0].kernel.assign(kernel)
        ema.Calibrator(constant, 1.0)(batches())
        np.testing.assert_array_equal(constant.layers[0].kernel, kernel.astype(np.float32))


def test_batch_norms_are_reestimated_in_order():
    """Each batch norm has the mean and variance of its input after the batch norms before it are re-estimated."""
    generator = network(
        layers.BatchNormalization(), layers.LeakyReLU(0.2), layers.Dense(12), layers.BatchNormalization()
    )
    for layer in generator.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.full(12, 9.0))
            layer.moving_mean.assign(np.full(12, 5.0))
    ema.Calibrator(generator, 0.0).reestimate_batch_norm(batches(size=400))
    noise = np.concatenate([batches(size=400)(i) for i in range(ema.STATISTICS_BATCHES)])
    x = noise
    for layer in generator.layers:
        if isinstance(layer, layers.BatchNormalization):
            np.testing.assert_allclose(layer.moving_mean, x.mean(0), atol=0.02)
            np.testing.assert_allclose(layer.moving_variance, x.var(0), rtol=0.02)
            assert layer.momentum == 0.99  # restored
        x = layer(x, training=False).numpy()


def test_network_without_batch_norm_and_kernels():
    """A network without batch norm and kernels is unchanged."""
    plain = keras.Sequential([keras.Input((3,)), layers.Reshape((1, 1, 3))])
    ema.Calibrator(plain, 1.0)(batches())
    np.testing.assert_array_equal(plain(batches()(0)).numpy()[:, 0, 0], batches()(0))


@pytest.mark.parametrize(
    ("name", "precision", "shape"),
    [
        *each_generator("float32", (3,)),
        ("palette", "float32", (3,)),
        pytest.param("palette", "mixed_bfloat16", (3,), marks=pytest.mark.slow),
        ("self-modulated", "mixed_bfloat16", (3,)),
        pytest.param("self-modulated", "mixed_bfloat16", (16, 16, 3), marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("eagerly")
def test_calibration_equals_scaled_noise(monkeypatch, float32_afterwards, name, precision, shape):
    """A calibrated generator equals the original one with scaled noise, in all architectures and precisions."""
    monkeypatch.setattr(ema, "STATISTICS_BATCHES", 2)
    monkeypatch.setattr(ema, "VARIANCE_BATCHES", 4)
    keras.utils.set_random_seed(3)
    keras.mixed_precision.set_global_policy(precision)
    more = {"palette": 4} if name == "palette" else {}
    generator = GENERATORS["self-modulated" if more else name](shape, (16, 16, 3), 2, **more)
    keras.mixed_precision.set_global_policy("float32")
    generator.set_weights(
        [
            w if w.ndim == 1 or not w.any() else 3 * w / np.sqrt(np.prod(w.shape[:-1]) * np.mean(w**2))
            for w in generator.get_weights()
        ]
    )
    ema.Calibrator(generator, 0.0).reestimate_batch_norm(batches(shape=shape))
    before = keras.models.clone_model(generator)
    before.set_weights(generator.get_weights())
    wanted = 1.2 * variation(generate(generator, shape=shape, count=4))
    scale = ema.Calibrator(generator, wanted).find_noise_scale(batches(shape=shape))
    ema.Calibrator(generator, wanted)(batches(shape=shape))
    scaled, plain = generate(before, scale, shape, 4), generate(before, shape=shape, count=4)
    error, effect = np.abs(generate(generator, shape=shape, count=4) - scaled).mean(), np.abs(scaled - plain).mean()
    assert error < (0.001 if precision == "float32" else 0.3) * effect and effect > 1e-4


def test_compiled_once():
    """Calibrating other weights again needs no new trace and gives the result of a new calibrator."""
    generator, other = network(layers.BatchNormalization()), network(layers.BatchNormalization())
    weights = [2 * weight + 0.1 for weight in generator.get_weights()]
    calibrator = ema.Calibrator(generator, 3.0)
    calibrator(batches())
    generator.set_weights(weights), other.set_weights(weights)
    calibrator(batches())
    ema.Calibrator(other, 3.0)(batches())
    for ours, theirs in zip(generator.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for function in (calibrator.generate, calibrator.generate_in_training_mode):
        assert function.experimental_get_tracing_count() == 1
