"""Parts of networks chosen by name: norms and spectral norm by their equations, upsampling by hand, and every pair."""

import inspect
import itertools
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import ALL, LONG, each_generator
from keras import layers

from gan import config, experiment
from gan.config import Config
from gan.errors import UsageError
from gan.labels import Attribute, Labels
from gan.training.ema import count_noise
from gan.training.regularizers import r1
from models import DISCRIMINATORS, GENERATORS
from models.blocks import NORMALIZATIONS, UPSAMPLINGS, constrain, normalize, upsample
from models.layers import (
    BatchNormalization,
    GroupNormalization,
    SpectralNormalization,
    SubpixelConv2D,
    UpsamplingConv2D,
)
from models.portable import get_stock_weights, to_stock_keras

SMALL = {"image_size": 16, "noise_size": 8, "width": 4, "batch_size": 4, "precision": "float32"}
PAIRS = [(name, name if name in DISCRIMINATORS else "conv") for name in GENERATORS]


def values(*shape, seed=0):
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_config_names_the_choices():
    """The choices of the flags are the tables' names."""
    assert tuple(UPSAMPLINGS) == config.UPSAMPLINGS and NORMALIZATIONS == config.NORMALIZATIONS


@pytest.mark.parametrize(
    ("kind", "channels", "groups"),
    [("layer", 32, 1), ("instance", 32, 32), ("group", 64, 4), ("group", 24, 3), ("group", 8, 1), ("group", 3, 3)],
)
def test_group_norms_by_their_equation(kind, channels, groups):
    """(x - mean) / sqrt(variance + epsilon) over the pixels and channels of each group of an image, then the affine."""
    (norm,) = normalize(kind, channels, epsilon=1e-3)
    x = 3 * values(2, 4, 5, channels) + 1
    norm.build(x.shape)
    assert norm.groups == groups
    gamma, beta = values(channels, seed=1), values(channels, seed=2)
    norm.set_weights([gamma, beta])
    parts = np.split(x, groups, axis=-1)
    expected = [
        (part - part.mean((1, 2, 3), keepdims=True)) / np.sqrt(part.var((1, 2, 3), keepdims=True) + 1e-3)
        for part in parts
    ]
    np.testing.assert_allclose(norm(x), np.concatenate(expected, -1) * gamma + beta, atol=1e-5)
    stock = layers.GroupNormalization.from_config(norm.get_config())
    stock.build(x.shape)
    stock.set_weights(norm.get_weights())
    np.testing.assert_allclose(norm(x), stock(x), atol=1e-5)
    half = GroupNormalization.from_config({**norm.get_config(), "dtype": "mixed_bfloat16"})
    half.build(x.shape)
    half.set_weights(norm.get_weights())
    assert half(x).dtype == tf.bfloat16 and {weight.dtype for weight in half.weights} == {"float32"}
    np.testing.assert_allclose(tf.cast(half(100 + x), tf.float32), norm(100 + x), atol=0.05)  # statistics in float32


def test_layer_norm_of_vectors():
    """On vectors, "layer" is Keras's LayerNormalization."""
    (norm,), other = normalize("layer", 6, epsilon=1e-3), layers.LayerNormalization(epsilon=1e-3)
    x = values(3, 6)
    np.testing.assert_allclose(norm(x), other(x), atol=1e-6)


def test_r1_through_group_norm():
    """The gradient of R1 through a group norm is that of its formula, in which the mean depends on the images."""
    kernel, out, images = (
        tf.Variable(values(3, 3, 3, 4)),
        tf.constant(values(4, 1, seed=1)),
        tf.constant(values(3, 5, 5, 3)),
    )
    norm = GroupNormalization(2, epsilon=1e-3)
    norm.build((None, 5, 5, 4))

    def composed(x):
        parts = [part - tf.reduce_mean(part, [1, 2, 3], keepdims=True) for part in tf.split(x, 2, -1)]
        return tf.concat([p / tf.sqrt(tf.reduce_mean(p**2, [1, 2, 3], keepdims=True) + 1e-3) for p in parts], -1)

    results = []
    for function in (composed, norm):
        with tf.GradientTape() as tape:
            penalty = r1(lambda x, f=function: tf.tanh(f(tf.nn.conv2d(x, kernel, 1, "SAME"))) @ out, images, None)
        results.append(tape.gradient(penalty, kernel).numpy())
    assert np.abs(results[0]).max() > 0.01
    np.testing.assert_allclose(results[1], results[0], rtol=1e-3, atol=1e-4 * np.abs(results[0]).max())


def test_spectral_norm_by_algorithm_1():
    """In training a call takes one power iteration; the kernel stays, and over its norm it has the norm 1."""
    keras.utils.set_random_seed(0)
    (layer,) = constrain([layers.Dense(4)], "spectral")
    x = values(3, 5)
    layer.build(x.shape)
    kernel, u = layer.kernel.numpy(), layer.vector_u.numpy()[0]
    for _ in range(2):
        v = kernel @ u / np.linalg.norm(kernel @ u)
        u = kernel.T @ v / np.linalg.norm(kernel.T @ v)
        outputs = layer(x, training=True)
        np.testing.assert_allclose(outputs, x @ kernel / (v @ kernel @ u), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.vector_u[0], u, rtol=1e-4)
    layer(x, training=False)
    np.testing.assert_allclose(layer.vector_u[0], u, rtol=1e-4)  # only training moves it
    for _ in range(100):
        layer(x, training=True)
    np.testing.assert_array_equal(layer.kernel, kernel)
    np.testing.assert_allclose(np.linalg.svd(layer.get_plain_weights()[0])[1][0], 1, rtol=1e-5)
    layer.vector_u.assign(0.1 * layer.vector_u)  # as an average may have it
    np.testing.assert_allclose(layer(x), x @ layer.get_plain_weights()[0], rtol=1e-4, atol=1e-5)


def test_gradient_of_spectral_norm():
    """The gradient is (G - <G, W / s> u v') / s, where G is that in W / s: arXiv:1802.05957, equation 12."""
    keras.utils.set_random_seed(0)  # a kernel whose two largest singular values differ, so that iterations converge
    (layer,) = constrain([layers.Dense(4, use_bias=False)], "spectral")
    x, weights = values(3, 5), values(3, 4, seed=1)
    layer.build(x.shape)
    for _ in range(100):
        layer(x, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weights * layer(x, training=True))
    kernel = layer.kernel.numpy()
    left, singular, right = np.linalg.svd(kernel)
    inner = x.T @ weights
    normed = kernel / singular[0]
    expected = (inner - (inner * normed).sum() * np.outer(left[:, 0], right[0])) / singular[0]
    np.testing.assert_allclose(tape.gradient(loss, layer.kernel.value), expected, rtol=1e-3, atol=1e-4)


def test_spectral_norm_in_mixed_precision():
    """Kernel and vector stay in float32 to the bit, and the outputs are in 16 bits."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    (layer,) = constrain([UpsamplingConv2D(4)], "spectral")
    x = values(2, 4, 4, 3)
    layer.build(x.shape)
    kernel = layer.kernel.numpy()
    outputs = layer(x, training=True)
    assert outputs.dtype == tf.bfloat16 and {weight.dtype for weight in layer.weights} == {"float32"}
    np.testing.assert_array_equal(layer.kernel, kernel)
    exact = UpsamplingConv2D(4, dtype="float32")
    exact.build(x.shape)
    exact.set_weights(layer.get_plain_weights())
    np.testing.assert_allclose(tf.cast(layer(x), tf.float32), exact(x), atol=0.1)  # with the same vector


def test_pixel_shuffle_by_hand():
    """Channel 2 y + x of a pixel becomes the pixel (y, x) of its four."""
    layer = SubpixelConv2D(4, 1, use_bias=False)
    layer.build((None, 1, 2, 1))
    layer.set_weights([np.arange(1.0, 5).reshape(1, 1, 1, 4)])
    outputs = layer(np.float32([1, 10]).reshape(1, 1, 2, 1))
    np.testing.assert_array_equal(outputs[0, :, :, 0], [[1, 2, 10, 20], [3, 4, 30, 40]])


def test_icnr_is_nearest_neighbor_at_first():
    """With ICNR, the four pixels from one are equal, and channels differ; the base initializer is saved."""
    (layer,) = upsample(5, "pixel-shuffle", kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02))
    outputs = layer(values(2, 4, 4, 3)).numpy()
    assert outputs.shape == (2, 8, 8, 5) == layer.compute_output_shape((2, 4, 4, 3))
    for y, x in ((0, 1), (1, 0), (1, 1)):
        np.testing.assert_array_equal(outputs[:, y::2, x::2], outputs[:, ::2, ::2])
    assert len(np.unique(layer.kernel)) == 3 * 3 * 3 * 5
    assert layer.get_config()["kernel_initializer"]["class_name"] == "RandomNormal"


def test_upsampling_of_constants():
    """Each kind doubles the sides; a center tap of 1 leaves a constant image as it is, in all but "transpose"."""
    for kind in UPSAMPLINGS:
        chain = upsample(2, kind, use_bias=False)
        x = keras.Sequential([keras.Input((3, 3, 1)), *chain])
        assert x.output_shape == (None, 6, 6, 2)
        if kind != "transpose":
            kernel = np.zeros(chain[-1].kernel.shape)
            kernel[1, 1] = 1
            chain[-1].set_weights([kernel])
            np.testing.assert_allclose(x(np.ones((1, 3, 3, 1))), 1, rtol=1e-6)


def count(network, kind):
    """Counts the layers of a class, those within a spectral norm, too."""
    inner = [layer.layer if isinstance(layer, SpectralNormalization) else layer for layer in network.layers]
    return sum(isinstance(layer, kind) for layer in inner)


@pytest.mark.parametrize("name", [each for each in each_generator() if each.values[0] != "dense"])
def test_depth_adds_convolutions(name):
    """Two more at each stage have a kernel each, of stride 1, and a norm each where the pair has norms.

    In residual pairs they are two more blocks: of two kernels and norms, or of three kernels, also in the first maps.
    """
    plain, deep = (GENERATORS[name]((8,), (32, 32, 3), 2, **more) for more in ({}, {"depth": 2}))
    residual = {"residual": 12, "residual-free": 24}
    added = {"self-modulated": 6, "conv": 4, "conv-2x2": 6, "upsample": 6, "conv-dense": 4, **residual}[name]
    assert count(deep, layers.Conv2D) - count(plain, layers.Conv2D) == added
    norms = {"conv-dense": added + 6, "residual-free": 0}.get(name, added)
    assert count(deep, BatchNormalization) - count(plain, BatchNormalization) == norms
    if (name := name.removesuffix("-2x2")) in DISCRIMINATORS:
        plain, deep = (DISCRIMINATORS[name]((32, 32, 3), 2, **more) for more in ({}, {"depth": 2}))
        added = {"self-modulated": 6, "conv": 6, "upsample": 6, "conv-dense": 4, **residual}[name]
        assert count(deep, layers.Conv2D) - count(plain, layers.Conv2D) == added
        assert deep.output_shape == (None, 1)


def test_spectral_discriminators_have_no_other_kernel():
    """Each layer with a kernel is within a spectral norm, the last one, too, and there is no other norm."""
    for name, build in DISCRIMINATORS.items():
        if "normalization" in inspect.signature(build).parameters:
            network = build((16, 16, 3), 2, normalization="spectral", depth=1)
            with_weights = [layer for layer in network.layers if layer.weights]
            assert {type(layer) for layer in with_weights} == {SpectralNormalization}, name
            assert with_weights[-1].layer.units == 1 and network.outputs[0].dtype == "float32"


@pytest.mark.parametrize("generator", [each for each in each_generator() if each.values[0] != "residual-free"])
def test_spectral_generators_do_not_constrain_noise(generator):
    """What noise meets first has no spectral norm, which would undo the calibration of its scale."""
    for shape in ((8,), (16, 16, 3)):
        network = GENERATORS[generator](shape, (16, 16, 3), 2, normalization="spectral")
        wrapped = [layer for layer in network.layers if isinstance(layer, SpectralNormalization)]
        assert wrapped and not count(network, BatchNormalization)
        assert not any(count_noise(layer.input, network) for layer in wrapped)


def test_settings_that_a_network_lacks():
    """The message names the flag, the network and what to do instead."""
    for settings, words in (
        ({"generator": "dense", "upsampling": "nearest"}, "--upsampling nearest: the generator dense has no such"),
        ({"generator": "dense", "upsampling": "nearest"}, "another --generator: self-modulated, conv, conv-2x2, ups"),
        ({"generator": "residual-free", "generator_normalization": "group"}, "the generator residual-free has no such"),
        ({"discriminator": "residual-free", "discriminator_normalization": "none"}, "--discriminator-normalization no"),
        ({"generator": "dense", "generator_normalization": "instance"}, "--generator-normalization layer or group"),
        ({"discriminator": "dense", "discriminator_normalization": "instance"}, "-normalization layer or group"),
    ):
        with pytest.raises(UsageError, match=words):
            experiment.build_gan(Config(**SMALL, **settings))


def train(gan, first, last):
    """Takes steps with images that depend on the iteration."""
    for i in range(first, last):
        scalars = gan.train_step((tf.constant(np.tanh(values(4, 16, 16, 3, seed=i))), tf.zeros((4, 0))))
    return scalars


@pytest.mark.usefixtures("eagerly")
def test_spectral_training_resumes_exactly(tmp_path):
    """Three steps are two, and one from what a checkpoint of these has; the export computes the same images."""
    settings = Config(
        **{**SMALL, "width": 2}, generator="conv", discriminator="conv", depth=1, upsampling="pixel-shuffle",
        generator_normalization="spectral", discriminator_normalization="spectral", penalty_every=1, ema_half_life=9.0,
    )  # fmt: skip
    gan = experiment.build_gan(settings)
    train(gan, 0, 2)
    saved = {name: variable.numpy() for name, variable in gan.state().items()}
    assert all(np.isfinite(value) for value in train(gan, 2, 3).values())
    whole = {name: variable.numpy() for name, variable in gan.state().items()}
    for name, variable in gan.state().items():
        variable.assign(saved[name])
    train(gan, 2, 3)
    for name, variable in gan.state().items():
        np.testing.assert_array_equal(variable, whole[name], err_msg=name)
    moved = [v for v in gan.discriminator.non_trainable_variables if v.path.endswith("vector_u")]
    assert moved and all(np.linalg.norm(v) == pytest.approx(1, rel=1e-5) for v in moved)
    noise, copy = gan.fixed_noise(3), to_stock_keras(gan.ema_generator)
    for array, weight in zip(get_stock_weights(gan.ema_generator), copy.weights, strict=True):
        np.testing.assert_array_equal(array, weight)
    copy.save(tmp_path / "generator.keras")
    with zipfile.ZipFile(tmp_path / "generator.keras") as file:
        assert b"faces" not in file.read("config.json")
    opened = keras.saving.load_model(tmp_path / "generator.keras", safe_mode=True)
    np.testing.assert_allclose(opened(noise), gan.ema_generator(noise, training=False), atol=1e-5)


@pytest.mark.parametrize("generator", each_generator())
def test_flags_together(generator):
    """With a part of each flag, two kinds of labels and a noise image, a step is finite in every pair."""
    labels = Labels((Attribute("class", ("a", "b")), Attribute("Happy")), np.array([[0, 1], [1, 0]] * 4, np.int32))
    both = ("generator_normalization", "discriminator_normalization")
    norms = dict.fromkeys(both, "layer") if generator != "residual-free" else {}
    settings = Config(
        **{**SMALL, "noise": "image", "batch_size": 8}, generator=generator, discriminator=dict(PAIRS)[generator],
        **norms, depth=1, upsampling="own" if generator == "dense" else "pixel-shuffle", minibatch_stddev=True,
        head="san", loss="wasserstein", penalty="gradient", penalty_every=1, penalty_batch=0.5, discriminator_noise=0.1,
        augment="ada", auxiliary_weight=0.5,
    )  # fmt: skip
    tf.config.run_functions_eagerly(True)
    try:
        gan = experiment.build_gan(settings, labels=labels)
        images = tf.constant(np.tanh(values(8, 16, 16, 3)))
        scalars = gan.train_step((images, tf.constant(labels.encode(labels.codes))))
        assert all(np.isfinite(value) for value in scalars.values()) and {"penalty", "label_loss"} <= set(scalars)
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.slow
@pytest.mark.parametrize("size", [16, *(pytest.param(size, marks=LONG) for size in (28, 32, 64))])
@pytest.mark.parametrize(("generator", "discriminator"), PAIRS)
def test_every_choice_trains(generator, discriminator, size):
    """A step is finite, and the stock copy generates the same images.

    With every second normalization (with FACES_ALL=1, with each), upsamplings in turn. `conv-dense` always has
    "instance", which its dense layers treat apart.
    """
    images = tf.constant(np.tanh(values(2, size, size, 3)))
    given = {"generator": generator, "discriminator": discriminator, "image_size": size, "batch_size": 2, "depth": 1}
    kinds = UPSAMPLINGS if generator == "residual-free" else NORMALIZATIONS  # without one, each upsampling once
    tf.config.run_functions_eagerly(True)
    try:
        if not ALL and generator not in ("self-modulated", "residual-free"):  # each other pair has every second one
            chosen = kinds[PAIRS.index((generator, discriminator)) % 2 :: 2]
            kinds = (*chosen, *(("instance",) if generator == "conv-dense" and "instance" not in chosen else ()))
        for kind, upsampling in zip(kinds, itertools.cycle(UPSAMPLINGS), strict=False):
            options = {"generator_normalization": kind, "discriminator_normalization": kind}
            options["penalty"] = "r1" if kind == "instance" else "none"  # R1 through others is tested elsewhere
            if generator == "dense":
                upsampling = "own"
            if kind == "instance" and generator == "dense":
                continue
            if generator == "residual-free":
                options = {"penalty": "none"}
            settings = {**SMALL, **given, **options, "upsampling": upsampling, "ema_half_life": 0.0}
            gan = experiment.build_gan(Config(**settings))
            scalars = gan.train_step((images, tf.zeros((2, 0))))
            assert all(np.isfinite(value) for value in scalars.values()), (kind, upsampling)
            made = gan.generator(gan.fixed_noise(2), training=False)
            assert made.shape == (2, size, size, 3)
            copy = to_stock_keras(gan.generator)
            np.testing.assert_allclose(copy(gan.fixed_noise(2)), made, atol=1e-4, err_msg=f"{kind} {upsampling}")
            keras.utils.clear_session()
    finally:
        tf.config.run_functions_eagerly(False)
