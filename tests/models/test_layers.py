"""Shared layers have the values and gradients of Keras's; saved networks load without this project."""

import functools
import re
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from models import GENERATORS
from models.layers import (
    BatchNormalization,
    BilinearUpSampling2D,
    MinibatchStddev,
    UpsamplingConv2D,
    count_doublings,
    flatten_noise,
    normal,
)
from models.portable import to_stock_keras

pytestmark = pytest.mark.usefixtures("float32_afterwards")


def values(*shape, seed=0):
    """Random numbers from N(0, 1), float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def gradients(function, watched, seed=9):
    """The value of a function, and the gradients of its sum weighted with random numbers."""
    with tf.GradientTape() as tape:
        tape.watch(watched)
        outputs = function()
        total = tf.reduce_sum(outputs * values(*outputs.shape, seed=seed))
    return [outputs, *tape.gradient(total, watched)]


def assert_all_close(ours, theirs, **tolerance):
    """Asserts that pairs of arrays are equal up to rounding, and not all zero."""
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a).max() > 1e-3
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize(("size", "smallest", "expected"), [
    (16, 4, (4, 2)), (20, 4, (5, 2)), (28, 4, (7, 2)), (32, 4, (4, 3)), (36, 4, (9, 2)), (64, 4, (4, 4)),
    (124, 4, (31, 2)), (128, 4, (4, 5)), (4, 4, (4, 0)), (7, 4, (7, 0)),
    (32, 2, (2, 4)), (28, 2, (7, 2)), (20, 2, (5, 2)), (64, 2, (2, 5)),
])  # fmt: skip
def test_count_doublings(size, smallest, expected):
    """The side is halved for as long as it stays a whole number and at least `smallest`."""
    assert count_doublings(size, smallest) == expected


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 3), (1, 2)])
@pytest.mark.parametrize("options", [{"use_bias": False}, {"activation": "tanh"}], ids=["plain", "bias and tanh"])
def test_upsampling_conv_equals_upsampling_and_conv(height, width, options):
    """The single transposed convolution has the values and the gradients of Keras's two layers."""
    fused, composed = UpsamplingConv2D(6, **options), layers.Conv2D(6, 3, padding="same", **options)
    inputs = tf.constant(values(2, height, width, 3))
    weights = [values(3, 3, 3, 6, seed=1), values(6, seed=2)][: 2 if "activation" in options else 1]
    results = []
    for layer, shape, prepared in [
        (fused, (2, height, width, 3), lambda: inputs),
        (composed, (2, 2 * height, 2 * width, 3), lambda: layers.UpSampling2D(2)(inputs)),
    ]:
        layer.build(shape)
        layer.set_weights(weights)
        results.append(
            gradients(
                lambda layer=layer, prepared=prepared: layer(prepared()),
                [inputs, *(weight.value for weight in layer.weights)],
            )
        )
    assert results[0][0].shape == (2, 2 * height, 2 * width, 6) == fused.compute_output_shape(inputs.shape)
    assert_all_close(*results, rtol=1e-4, atol=1e-4)


def test_upsampling_conv_by_hand():
    """For a pixel 1 and a kernel 1..9, each of the four outputs sums the taps over the upsampled pixel."""
    layer = UpsamplingConv2D(1, use_bias=False)
    layer.build((1, 1, 1, 1))
    layer.set_weights([np.arange(1.0, 10).reshape(3, 3, 1, 1)])
    # The upsampled image is 2 x 2 ones with zeros around it: top left meets the taps 5, 6, 8 and 9, and so on.
    expected = [[5 + 6 + 8 + 9, 4 + 5 + 7 + 8], [2 + 3 + 5 + 6, 1 + 2 + 4 + 5]]
    np.testing.assert_allclose(layer(tf.ones((1, 1, 1, 1)))[0, :, :, 0], expected)


def test_upsampling_conv_rejects_other_kernels():
    """Only 3x3 kernels with padding "same" become a 4x4 kernel; the error names what was given."""
    for options, given in (({"kernel_size": 5}, r"\(5, 5\)"), ({"padding": "valid"}, "'valid'")):
        with pytest.raises(ValueError, match=given):
            UpsamplingConv2D(4, **options)


def build_norms(shape, momentum=0.9, epsilon=1e-5):
    """Both batch norms with the same weights, none of which is an initial value; and those weights."""
    pair = (
        BatchNormalization(momentum=momentum, epsilon=epsilon),
        layers.BatchNormalization(momentum=momentum, epsilon=epsilon),
    )
    start = [values(shape[-1], seed=i) + 2 for i in range(4)]
    start[3] = np.abs(start[3])
    for norm in pair:
        norm.build(shape)
        norm.set_weights(start)
    return *pair, start


def test_fused_batch_norm_equals_keras():
    """In training on images, outputs, gradients and moving mean are Keras's."""
    fused, composed, start = build_norms((None, 5, 4, 3), momentum=0.8)
    inputs = tf.constant(3 * values(6, 5, 4, 3) + 1)
    results = [
        gradients(lambda norm=norm: norm(inputs, training=True), [inputs, norm.gamma.value, norm.beta.value])
        for norm in (fused, composed)
    ]
    assert_all_close(*results, rtol=1e-4, atol=1e-4)
    mean = 0.8 * start[2] + 0.2 * inputs.numpy().mean(axis=(0, 1, 2))
    for norm in (fused, composed):
        np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-5)


def test_fused_batch_norm_tracks_unbiased_variance():
    """The moving variance is 0.9 old + 0.1 var n / (n - 1), n = 2 * 2 * 3 per channel; Keras has no such factor."""
    fused, composed, start = build_norms((None, 2, 3, 3))
    inputs = 3 * values(2, 2, 3, 3) + 1
    variance = inputs.var(axis=(0, 1, 2))
    for norm, factor in ((fused, 12 / 11), (composed, 1)):
        norm(inputs, training=True)
        np.testing.assert_allclose(norm.moving_variance, 0.9 * start[3] + 0.1 * factor * variance, rtol=1e-5)


@pytest.mark.parametrize(("shape", "training"), [((6, 5, 4, 3), False), ((6, 3), True), ((6, 3), False)])
def test_batch_norm_elsewhere_is_keras(shape, training):
    """At inference, and on vectors, outputs and all weights are Keras's."""
    fused, composed, _ = build_norms((None, *shape[1:]))
    inputs = values(*shape)
    close = {"rtol": 1e-5, "atol": 1e-6} if training else {"rtol": 0}
    np.testing.assert_allclose(fused(inputs, training=training), composed(inputs, training=training), **close)
    for ours, theirs in zip(fused.get_weights(), composed.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, **close)


@pytest.mark.parametrize(("policy", "rounding"), [("mixed_bfloat16", 2**-8), ("mixed_float16", 2**-11)])
def test_layers_in_mixed_precision(policy, rounding):
    """Both layers compute in 16 bits, keep weights and statistics in 32, and differ by rounding alone."""
    inputs = values(4, 6, 6, 3)
    norm, up = BatchNormalization(momentum=0.9), UpsamplingConv2D(4)
    exact = [norm(inputs, training=True), up(inputs)]
    mean = norm.moving_mean.numpy()
    keras.mixed_precision.set_global_policy(policy)
    for layer, expected in zip((norm, up), exact, strict=True):
        half = type(layer).from_config({**layer.get_config(), "dtype": policy})
        half.build(inputs.shape)
        half.set_weights(layer.get_weights() if layer is up else [np.ones(3), np.zeros(3), np.zeros(3), np.ones(3)])
        outputs = half(inputs, training=True) if layer is norm else half(inputs)
        assert outputs.dtype.name == policy.removeprefix("mixed_")
        assert {weight.dtype for weight in half.weights} == {"float32"}
        np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, atol=20 * rounding)
        if layer is norm:
            np.testing.assert_allclose(half.moving_mean, mean, atol=0.1 * rounding)


def test_normal_gives_different_kernels():
    """Two layers of one shape start with different kernels of standard deviation 0.02."""
    first, second = (np.asarray(normal()((200, 100))) for _ in range(2))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05
    assert first.std() == pytest.approx(0.02, rel=0.03) and abs(first.mean()) < 0.001


def test_flatten_noise():
    """Noise vectors need no layers; each patch of a noise image becomes 8 uncorrelated numbers of variance 1."""
    assert flatten_noise((7,)) == []
    for side, start in ((28, 7), (20, 5), (16, 4)):
        model = keras.Sequential([keras.Input((side, side, 3)), *flatten_noise((side, side, 3))])
        assert model.output_shape == (None, start * start * 8) and not model.trainable_weights
        noise = tf.constant(values(2, side, side, 3))
        _, gradient = gradients(lambda model=model, noise=noise: model(noise), [noise])
        assert (np.abs(gradient).max(axis=-1) > 0).all()
    numbers = model(values(20_000, 16, 16, 3))
    np.testing.assert_allclose(np.cov(numbers, rowvar=False), np.eye(128), atol=0.05)  # five standard errors


LOAD_WITH_KERAS_ALONE = """
import sys
import keras, numpy as np
for name in sys.argv[1:]:
    model = keras.saving.load_model(f"{name}.keras", safe_mode=True)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers), name
    with np.load(f"{name}.npz") as file:
        np.testing.assert_allclose(model(file["noise"], training=False), file["images"], atol=1e-5, err_msg=name)
assert not {"models", "dcgan", "gan"} & set(sys.modules)
print("opened", len(sys.argv) - 1)
"""


@pytest.mark.slow
def test_stock_keras_generators_open_without_this_project(tmp_path):
    """Each generator, converted and saved, loads where only Keras is installed, and generates the same images."""
    builders = {**GENERATORS, "palette": functools.partial(GENERATORS["self-modulated"], palette=4)}
    for name, generator in builders.items():
        keras.mixed_precision.set_global_policy("float32")
        model = generator((16, 16, 3), (16, 16, 3), 2)
        model.set_weights([w + 0.2 * values(*w.shape, seed=i) for i, w in enumerate(model.get_weights())])
        for seed in range(3):  # so that the statistics are not the initial ones
            model(values(8, 16, 16, 3, seed=seed), training=True)
        noise = values(3, 16, 16, 3)
        images = model(noise, training=False).numpy()
        assert images.std(axis=0).mean() > 0.01  # samples depend on the noise
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        trained = generator((16, 16, 3), (16, 16, 3), 2)
        trained.set_weights(model.get_weights())
        copy = to_stock_keras(trained)
        computing = [layer for layer in copy.layers if not isinstance(layer, keras.layers.InputLayer)]
        assert {layer.dtype_policy.name for layer in computing} == {"float32"}
        copy.save(tmp_path / f"{name}.keras")
        with zipfile.ZipFile(tmp_path / f"{name}.keras") as file:
            modules = set(re.findall(r'"module": "([^"]+)"', file.read("config.json").decode()))
        private = {module for module in modules if module.startswith("keras.src")}
        assert "keras.layers" in modules and private <= {"keras.src.models.functional"}  # every Keras 3 writes this one
        np.savez(tmp_path / f"{name}.npz", noise=noise, images=images)
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOAD_WITH_KERAS_ALONE, *builders], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"opened {len(builders)}\n"


def test_minibatch_stddev_by_hand():
    """Rows of a group are n / 4 apart; the feature is the mean over all numbers of their deviation in the group."""
    x = values(8, 2, 2, 3)
    found = MinibatchStddev()(x).numpy()
    assert found.shape == (8, 2, 2, 4) and (found[..., :3] == x).all()
    for i in range(8):
        np.testing.assert_allclose(found[i, ..., 3], x[i % 2 :: 2].std(axis=0).mean(), rtol=1e-5)
    np.testing.assert_allclose(MinibatchStddev()(x[:6, 0, 0])[1, 3], x[[1, 3, 5], 0, 0].std(axis=0).mean(), rtol=1e-5)
    same = MinibatchStddev()(np.ones((4, 5), "float32"))[:, 5]
    np.testing.assert_allclose(same, 1e-4, rtol=1e-3)  # where images are equal, with a finite gradient


def test_bilinear_upsampling():
    """Values and gradients are those of Keras's own layer; of a sum of cubes, the second derivatives are exact."""
    rng = np.random.default_rng(0)
    x, v = (tf.constant(rng.normal(size=(2, 3, 5, 4)), tf.float32) for _ in range(2))
    ours, stock = BilinearUpSampling2D(dtype="float32"), layers.UpSampling2D(2, interpolation="bilinear")
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(x)
        with tf.GradientTape(persistent=True) as inner:
            inner.watch(x)
            values = [tf.reduce_sum(layer(x) ** 3) for layer in (ours, stock)]
        gradient, expected = (inner.gradient(value, x) for value in values)
    np.testing.assert_array_equal(ours(x), stock(x))
    np.testing.assert_array_equal(gradient, expected)
    # The matrix B of the upsampling is that of all unit images; the Hessian of sum (B x)^3 is B^T diag(6 B x) B.
    units = tf.reshape(tf.eye(15), (15, 3, 5, 1))
    matrix = tf.reshape(stock(units), (15, 60)).numpy().T
    rows = np.moveaxis(x.numpy().reshape(2, 15, 4), 1, -1), np.moveaxis(v.numpy().reshape(2, 15, 4), 1, -1)
    products = (6 * (rows[0] @ matrix.T) * (rows[1] @ matrix.T)) @ matrix
    found = outer.gradient(gradient, x, output_gradients=v)
    np.testing.assert_allclose(np.moveaxis(found.numpy().reshape(2, 15, 4), 1, -1), products, rtol=1e-4, atol=1e-4)
