"""All generators and discriminators: numbers of weights, shapes, initial weights, order of layers."""

import contextlib
import dataclasses
import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dcgan
from gan import experiment
from gan.cli import parse_arguments
from gan.config import PALETTE_GENERATORS, overrides
from gan.errors import UsageError
from gan.networks import build_uninitialized_networks
from gan.recipes import RECIPES
from models import DISCRIMINATORS, GENERATORS
from models.layers import BatchNormalization, Dropout, UpsamplingConv2D

FUNCTIONAL = ("self-modulated", "residual", "residual-free")  # the others are a chain of layers


@contextlib.contextmanager
def networks(recipe):
    """The generator and the discriminator of a recipe, whose up to 80 million weights get no values."""
    config, _ = parse_arguments(["--recipe", recipe])
    with build_uninitialized_networks(dataclasses.replace(config, precision="float32")) as pair:
        yield pair
    keras.utils.clear_session()


def count_trainable(model):
    """Counts the trainable weights."""
    return sum(math.prod(weight.shape) for weight in model.trainable_variables)


@pytest.mark.parametrize(
    ("recipe", "generator", "discriminator"),
    [
        # With c channels: G 160 c^2 + 64 c z + 118 c, D 160 c^2 + 124 c + 1.
        ("udacity-64", 1_072_512, 663_297),
        ("udacity-128", 3_455_744, 2_637_313),
        ("udacity-256", 12_154_368, 10_517_505),
        ("udacity-32-128", 3_685_120, 167_809),
        ("udacity-2x2", 5_267_328, 663_297),
        ("udacity-32", 372_416, 167_809),
    ],
)
def test_trainable_weights_of_the_udacity_networks(recipe, generator, discriminator):
    """The networks of each recipe have as many trainable weights as its source prints or implies."""
    with networks(recipe) as (g, d):
        assert (count_trainable(g), count_trainable(d)) == (generator, discriminator)
        assert g.output_shape == d.input_shape == (None, 32, 32, 3)
        assert g.input_shape == (None, 128 if recipe == "udacity-32-128" else 100)


@pytest.mark.parametrize(
    ("recipe", "generator", "discriminator", "noise"),
    [
        ("keras-gan-upsample", 857_859, 393_281, (100,)),
        ("keras-gan-dense", 3_100_720, 1_336_321, (100,)),
        ("conv-dense", 54_533_488, 25_899_585, (28, 28, 3)),
    ],
)
def test_weights_of_the_keras_gan_networks(recipe, generator, discriminator, noise):
    """The networks of each recipe have as many weights as Keras prints for its source, moving statistics included."""
    with networks(recipe) as (g, d):
        assert (g.count_params(), d.count_params()) == (generator, discriminator)
        assert g.output_shape == d.input_shape == (None, 28, 28, 3) and g.input_shape == (None, *noise)
        if recipe == "conv-dense":
            assert g.count_params() - count_trainable(g) == 3_968


def test_statistics_of_the_udacity_networks():
    """Each normalized channel has two moving statistics: 384 and 768 at width 64, 896 for the start at 2 x 2."""
    for recipe, generator, discriminator in [("udacity-64", 384, 768), ("udacity-2x2", 896, 768)]:
        with networks(recipe) as (g, d):
            statistics = g.count_params() - count_trainable(g), d.count_params() - count_trainable(d)
        assert statistics == (generator, discriminator)


@pytest.mark.parametrize("recipe", ["udacity-32", "keras-gan-dense"])
def test_noise_of_the_recipes(monkeypatch, recipe):
    """Udacity's noise is uniform, that of Keras-GAN is normal."""
    given = []
    monkeypatch.setattr(dcgan, "DCGAN", lambda *networks, **options: given.append(options["noise"]))
    config, _ = parse_arguments(["--recipe", recipe, "--width", "2", "--precision", "float32"])
    experiment.build_gan(config)
    assert given == [dcgan.NOISE_DISTRIBUTIONS["uniform" if recipe == "udacity-32" else "normal"]]


def test_unit_tests_of_the_udacity_course():
    """At width 10, 50 images of -1 give 50 logits, and noise of length 25 gives 50 images of 32 x 32."""
    assert DISCRIMINATORS["conv"]((32, 32, 3), 10)(-np.ones((50, 32, 32, 3))).shape == (50, 1)
    noise = np.random.default_rng(0).uniform(-1, 1, (50, 25))
    for name in ("conv", "conv-2x2"):
        assert GENERATORS[name]((25,), (32, 32, 3), 10)(noise).shape == (50, 32, 32, 3)


@pytest.mark.parametrize("kind", ["vector", "image"])
@pytest.mark.parametrize("name", GENERATORS)
def test_generators(name, kind):
    """Noise vectors at several sizes, and noise images, give float32 images in [-1, 1] that differ from each other."""
    keras.utils.set_random_seed(0)
    sizes = (28, 64) if kind == "vector" else (20,)
    for size in (*sizes, 128) if name == "conv" else sizes:
        noise_shape = (5,) if kind == "vector" else (size, size, 3)
        model = GENERATORS[name](noise_shape, (size, size, 3), 2)
        assert isinstance(model, keras.Sequential) == (name not in FUNCTIONAL) and model.name == "generator"
        assert model.input_shape == (None, *noise_shape)
        model.set_weights([3 * weight for weight in model.get_weights()])
        images = model(np.random.default_rng(0).normal(size=(4, *noise_shape)), training=True).numpy()
        assert images.shape == (4, size, size, 3) and images.dtype == np.float32
        assert np.abs(images).max() <= 1 and images.std(axis=0).mean() > 0.01
        assert model.layers[-1 if name not in ("dense", "conv-dense") else -2].activation is keras.activations.tanh


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators(name):
    """At several sizes there is one float32 logit per image, without a sigmoid."""
    keras.utils.set_random_seed(0)
    for size in (28, 64, 128) if name == "conv" else (28, 64):
        model = DISCRIMINATORS[name]((size, size, 3), 2)
        assert isinstance(model, keras.Sequential) == (name not in FUNCTIONAL) and model.name == "discriminator"
        model.set_weights([5 * weight for weight in model.get_weights()])
        images = np.random.default_rng(0).uniform(-1, 1, (4, size, size, 3))
        logits = model(images, training=True).numpy()
        assert logits.shape == (4, 1) and logits.dtype == np.float32 and logits.std() > 0
        assert model.layers[-1].activation is keras.activations.linear


def test_logits_depend_on_every_pixel():
    """The logits of each discriminator depend on every pixel, also at sizes that are not powers of 2."""
    for name, discriminator in DISCRIMINATORS.items():
        for size in (20, 28):
            model = discriminator((size, size, 3), 4)
            images = tf.constant(np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)), tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(images)
                logits = tf.reduce_sum(model(images, training=False))
            assert (np.abs(tape.gradient(logits, images)).max(axis=(0, 3)) > 0).all(), (name, size)


def test_noise_modulates_every_layer():
    """Noise changes samples through each of its inputs alone, the first maps or a modulation, and not without them."""
    keras.utils.set_random_seed(0)
    model = GENERATORS["self-modulated"]((5,), (16, 16, 3), 4)
    model.set_weights([5 * weight for weight in model.get_weights()])
    inputs = [layer for layer, _ in kernels(model) if layer.input is model.inputs[0]]
    original = [layer.kernel.numpy() for layer in inputs]
    noise = np.random.default_rng(0).normal(size=(4, 5))

    def sample_std(only: int) -> float:
        for i, (layer, kernel) in enumerate(zip(inputs, original, strict=True)):
            layer.kernel.assign(kernel if i == only else 0 * kernel)
        return float(model(noise, training=False).numpy().std(axis=0).mean())

    assert len(inputs) == 4 and min(sample_std(i) for i in range(4)) > 1e-4 and sample_std(-1) < 1e-7


def test_output_is_a_sum_over_sizes():
    """The output of 16 x 16 is tanh of the sum of the 8 x 8 image, upsampled bilinearly, and the 16 x 16 image."""
    keras.utils.set_random_seed(0)
    model = GENERATORS["self-modulated"]((5,), (16, 16, 3), 4)
    to_rgb = [layer for layer in model.layers if isinstance(layer, layers.Conv2D) and layer.output.shape[-1] == 3]
    inner = keras.Model(model.inputs[0], [layer.output for layer in to_rgb] + model.outputs)
    small, large, images = (x.numpy() for x in inner(np.random.default_rng(0).normal(size=(2, 5))))
    assert small.shape == (2, 8, 8, 3) and large.shape == images.shape == (2, 16, 16, 3)
    padded = np.pad(small, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    for axis in (1, 2):  # an upsampled pixel is 3/4 the nearest and 1/4 the next
        a, b, c = (np.take(padded, range(i, i + 8), axis) for i in range(3))
        both = np.stack([0.75 * b + 0.25 * a, 0.75 * b + 0.25 * c], axis + 1)
        shape = list(padded.shape)
        shape[axis] = 16
        padded = both.reshape(shape)
    np.testing.assert_allclose(images, np.tanh(padded + large), atol=1e-6)


def test_colors_of_a_palette():
    """A pixel is the mean of the image's colors, weighted by the softmax of its logits; one color is exactly one."""
    keras.utils.set_random_seed(0)
    model = GENERATORS["self-modulated"]((5,), (16, 16, 3), 4, palette=6)
    model.set_weights([5 * weight for weight in model.get_weights()])
    [softmax] = [layer for layer in model.layers if isinstance(layer, layers.Softmax)]
    [dense] = [layer for layer in model.layers if layer.weights and layer.output.shape[-1] == 3 * 6]
    inner = keras.Model(model.inputs[0], [softmax.input, dense.output, *model.outputs])
    noise = np.random.default_rng(0).normal(size=(2, 5))
    logits, colors, images = (x.numpy() for x in inner(noise))
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    assert shares.std() > 0.001 and colors.std() > 0.01
    colors = colors.reshape(2, 6, 3)
    np.testing.assert_allclose(images, np.einsum("nyxk,nkc->nyxc", shares, colors), atol=1e-6)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D) and layer.output.shape[-1] == 6:
            layer.set_weights([0 * layer.kernel, 100 * np.eye(6)[2]])
    images = model(noise, training=False).numpy()
    assert (images == images[:, :1, :1]).all()
    np.testing.assert_allclose(images[:, 0, 0], colors[:, 2], atol=1e-6)
    assert np.abs(images).max() <= 1


def test_generators_with_a_palette():
    """Config names those that take one; with image noise and labels, their images depend on both."""
    taking = [name for name, build in GENERATORS.items() if "palette" in inspect.signature(build).parameters]
    assert tuple(taking) == PALETTE_GENERATORS
    keras.utils.set_random_seed(0)
    for name in taking:
        model = GENERATORS[name]((28, 28, 3), (28, 28, 3), 2, labels=3, palette=5)
        noise, labels = np.random.default_rng(0).normal(size=(4, 28, 28, 3)), np.eye(3)[[0, 1, 0, 1]]
        images = model([noise, labels], training=True).numpy()
        assert images.shape == (4, 28, 28, 3) and images.dtype == np.float32
        for other in ([noise[::-1], labels], [noise, labels[::-1]]):
            assert np.abs(model(other, training=True).numpy() - images).max() > 1e-4


def test_palette_of_the_recipe():
    """Generators without a palette do without that of a recipe; one that is given is refused, whatever it is."""
    config, _ = parse_arguments(["--generator", "conv"])
    assert config.recipe == "avatars" and config.palette == 0 and "palette" not in overrides(config)
    assert parse_arguments([])[0].palette == RECIPES["avatars"]["palette"] == 8
    for palette in ("8", "16"):
        with pytest.raises(UsageError, match=f"--palette {palette}: the generator conv"):
            line = ["--generator", "conv", "--palette", palette, "--precision", "float32"]
            experiment.build_gan(parse_arguments(line)[0])


def test_discriminator_relates_distant_pixels():
    """Changes of two opposite corners have an effect on the logit that is not the sum of their single effects.

    Without the hidden layer, the logit is a sum over positions.
    """
    keras.utils.set_random_seed(0)
    model = DISCRIMINATORS["self-modulated"]((32, 32, 3), 8)
    model.set_weights([5 * weight for weight in model.get_weights()])
    images = np.zeros((4, 32, 32, 3))  # neither corner, the first, the second, both
    images[1::2, :4, :4] = images[2:, -4:, -4:] = 1
    hidden = next(layer for layer in model.layers if isinstance(layer, layers.Dense))

    def interaction():
        none, one, other, both = model(images).numpy().ravel()
        return abs(both + none - one - other)

    assert interaction() > 1e-4
    hidden.kernel.assign(0 * hidden.kernel)
    assert interaction() < 1e-6


def kernels(model):
    """The layers that have a kernel, each with its kernel as an array."""
    return [(layer, np.asarray(layer.kernel)) for layer in model.layers if hasattr(layer, "kernel")]


@pytest.mark.parametrize(
    "build",
    [
        lambda: GENERATORS["self-modulated"]((128,), (16, 16, 3), 48),
        lambda: GENERATORS["conv"]((100,), (32, 32, 3), 32),
        lambda: GENERATORS["conv-2x2"]((100,), (32, 32, 3), 32),
        lambda: DISCRIMINATORS["self-modulated"]((32, 32, 3), 48),
        lambda: DISCRIMINATORS["conv"]((32, 32, 3), 64),
    ],
    ids=["G self-modulated", "G conv", "G conv-2x2", "D self-modulated", "D conv"],
)
def test_normal_kernels(build):
    """DCGAN kernels start as N(0, 0.02), within five standard errors, and no two are equal; biases start at 0.

    The biases of self-modulation's scales start at 1.
    """
    keras.utils.set_random_seed(0)
    found = kernels(build())
    for layer, kernel in found:
        error = 0.02 / math.sqrt(2 * kernel.size)
        assert abs(kernel.std() - 0.02) < 5 * error, layer.name
        assert abs(kernel.mean()) < 5 * 0.02 / math.sqrt(kernel.size), layer.name
        if layer.use_bias:
            scales = isinstance(layer.bias_initializer, keras.initializers.Ones)
            np.testing.assert_array_equal(layer.bias, np.float32(scales))
    assert len({kernel.ravel()[0] for _, kernel in found}) == len(found)


@pytest.mark.parametrize("name", ["upsample", "dense", "conv-dense"])
def test_glorot_kernels(name):
    """Keras-GAN's kernels start uniform up to sqrt(6 / (inputs + outputs)), its biases at 0."""
    keras.utils.set_random_seed(0)
    found = kernels(GENERATORS[name]((100,), (28, 28, 3), 8)) + kernels(DISCRIMINATORS[name]((28, 28, 3), 8))
    for layer, kernel in found:
        field = math.prod(kernel.shape[:-2])
        limit = math.sqrt(6 / (field * (kernel.shape[-2] + kernel.shape[-1])))
        assert np.abs(kernel).max() <= limit, layer.name
        relative_error = math.sqrt(0.2 / kernel.size)  # of a uniform distribution's standard deviation, limit / sqrt(3)
        assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=5 * relative_error), layer.name
        assert not np.asarray(layer.bias).any()


@pytest.mark.parametrize(
    ("name", "momentum", "epsilon"),
    [
        ("self-modulated", 0.9, 1e-5), ("conv", 0.9, 1e-5), ("conv-2x2", 0.9, 1e-5),
        ("upsample", 0.8, 1e-3), ("dense", 0.8, 1e-3), ("conv-dense", 0.8, 1e-3),
    ],
)  # fmt: skip
def test_batch_norm_settings(name, momentum, epsilon):
    """The DCGAN networks have PyTorch's momentum and epsilon, the others Keras-GAN's."""
    models = [GENERATORS[name]((5,), (28, 28, 3), 4), DISCRIMINATORS[name.removesuffix("-2x2")]((28, 28, 3), 4)]
    norms = [layer for m in models for layer in m.layers if isinstance(layer, BatchNormalization)]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(momentum, epsilon)}


LAYER_LETTERS = {
    layers.Conv2D: "c", layers.Conv2DTranspose: "t", UpsamplingConv2D: "u", layers.Dense: "d", layers.Reshape: "r",
    layers.Flatten: "f", BatchNormalization: "n", layers.ReLU: "R", layers.LeakyReLU: "L",
    Dropout: "o", layers.ZeroPadding2D: "z",
}  # fmt: skip


def spell(model):
    """Writes a network as a string of letters; a layer's activation (R ReLU, T tanh) follows the layer's letter."""
    word = ""
    for layer in model.layers:
        word += LAYER_LETTERS[type(layer)]
        word += {"relu": "R", "tanh": "T"}.get(getattr(getattr(layer, "activation", None), "__name__", ""), "")
        if isinstance(layer, layers.LeakyReLU):
            assert layer.negative_slope == pytest.approx(0.2)
        if isinstance(layer, Dropout):
            assert layer.rate == 0.25
    return word


@pytest.mark.parametrize(
    ("name", "size", "generator", "discriminator"),
    [
        ("conv", 32, "d r tnR tnR tT", "cL cnL cnL f d"),  # no batch norm after the first dense layer
        ("upsample", 28, "dR r n uR n uR n cT", "cLo czLon cLon cLo f d"),  # normalized after dropout
        ("dense", 28, "f dLn dLn dLn dT r", "f dL dL d"),  # normalized after the activation
        ("conv-dense", 28, "cR n uR n f dLn dLn dLn dT r", "cR cR f dL dL d"),
    ],
)
def test_order_of_layers(name, size, generator, discriminator):
    """The networks have the layers of their sources in the same order."""
    noise = (size, size, 3) if name == "conv-dense" else (5,)
    assert spell(GENERATORS[name](noise, (size, size, 3), 2)) == generator.replace(" ", "")
    assert spell(DISCRIMINATORS[name]((size, size, 3), 2)) == discriminator.replace(" ", "")


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_dropout_of_discriminators(name):
    """All dropout layers have the given rate; at rate 0 only "upsample" has dropout, as in its source."""
    rates = {
        rate: [layer.rate for layer in DISCRIMINATORS[name]((28, 28, 3), 2, rate).layers if hasattr(layer, "rate")]
        for rate in (0.0, 0.5)
    }
    assert set(rates[0.0]) == ({0.25} if name == "upsample" else set())
    assert set(rates[0.5]) == {0.5} and len(rates[0.5]) >= 2


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "vector") for name in GENERATORS), ("conv-dense", "image"), ("self-modulated", "image")]
)
def test_generators_take_labels(name, kind):
    """A second input, of labels, changes the images."""
    shape = (16, 16, 3) if kind == "image" else (8,)
    keras.utils.set_random_seed(1)
    network = GENERATORS[name](shape, (16, 16, 3), 4, labels=3)
    assert [tensor.name for tensor in network.inputs] == ["noise", "labels"]
    assert network.output_shape == (None, 16, 16, 3)
    noise = np.array(keras.random.normal((2, *shape), seed=1))
    first, second = (network([noise, np.eye(3, dtype="float32")[[i, i]]], training=True).numpy() for i in (0, 1))
    assert np.abs(first - second).max() > 1e-4


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators_take_labels(name):
    """Labels change the logits; with an auxiliary classifier there are theirs, which no label that is given changes."""
    images, labels = np.array(keras.random.normal((2, 16, 16, 3), seed=1)), np.eye(3, dtype="float32")
    network = DISCRIMINATORS[name]((16, 16, 3), 4, labels=3)
    first, second = (network([images, labels[[i, i]]], training=False).numpy() for i in (0, 1))
    assert first.shape == (2, 1) and np.abs(first - second).max() > 1e-6
    network = DISCRIMINATORS[name]((16, 16, 3), 4, labels=3, auxiliary=True)
    given = [[images, labels[[i, i]]] for i in (0, 1)] if len(network.inputs) == 2 else [images, images]
    (logits, classes), (_, others) = (network(each) for each in given)
    assert logits.shape == (2, 1) and classes.shape == (2, 3) and classes.dtype == "float32"
    np.testing.assert_array_equal(classes, others)


def test_projection_by_hand():
    """The logit of an image and a label is the unconditional one and the label's embedding times the features."""
    network = DISCRIMINATORS["self-modulated"]((16, 16, 3), 4, labels=2)
    images = np.array(keras.random.normal((3, 16, 16, 3), seed=1))
    joined = next(layer for layer in network.layers if isinstance(layer, layers.Concatenate))
    features = keras.Model(network.inputs[0], joined.output)
    kernel = network.get_layer("projection").kernel.numpy()
    assert kernel.shape == (2, features.output_shape[-1])
    values = features(images).numpy()
    neither = network([images, np.zeros((3, 2), "float32")]).numpy()
    second = network([images, np.float32([[0, 1]] * 3)]).numpy()
    np.testing.assert_allclose(second - neither, (values @ kernel[1])[:, None], atol=1e-5)
