import dataclasses
import gc
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import dcgan
from gan import experiment
from gan.cli import parse_arguments
from models import DISCRIMINATORS, GENERATORS
from models.layers import BatchNormalization, UpsamplingConv2D


@pytest.fixture
def networks(monkeypatch):
    """recipe -> its two networks and their options, by train.build, but without the optimizers' memory."""
    monkeypatch.setattr(dcgan, "DCGAN", lambda generator, discriminator, **options: (generator, discriminator, options))

    def build(recipe):
        config, _ = parse_arguments(["--recipe", recipe])
        return experiment.build_gan(dataclasses.replace(config, precision="float32"))

    yield build
    gc.collect()  # a pair may have 80 million weights


def trainable(model):
    """How many numbers training changes."""
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
def test_trainable_weights_of_the_udacity_systems(networks, recipe, generator, discriminator):
    """Each recipe builds the two networks of the size that its source prints or implies, weight for weight."""
    g, d, options = networks(recipe)
    assert (trainable(g), trainable(d)) == (generator, discriminator)
    assert g.output_shape == d.input_shape == (None, 32, 32, 3)
    assert g.input_shape == (None, 128 if recipe == "udacity-32-128" else 100)
    assert options["noise"] is dcgan.DISTRIBUTIONS["uniform"]


@pytest.mark.parametrize(
    ("recipe", "generator", "discriminator", "noise"),
    [
        ("keras-gan-upsample", 857_859, 393_281, (100,)),
        ("keras-gan-dense", 3_100_720, 1_336_321, (100,)),
        ("conv-dense", 54_533_488, 25_899_585, (28, 28, 3)),
    ],
)
def test_all_weights_of_the_keras_gan_systems(networks, recipe, generator, discriminator, noise):
    """Each recipe builds the two networks of the size that Keras prints for its source, moving statistics included."""
    g, d, options = networks(recipe)
    assert (g.count_params(), d.count_params()) == (generator, discriminator)
    assert g.output_shape == d.input_shape == (None, 28, 28, 3) and g.input_shape == (None, *noise)
    assert options["noise"] is dcgan.DISTRIBUTIONS["normal"]
    if recipe == "conv-dense":
        assert g.count_params() - trainable(g) == 3_968


def test_statistics_of_the_udacity_systems(networks):
    """Two moving numbers for each normalised channel: 768 and 384 at width 64, 896 for the start at 2 x 2."""
    for recipe, generator, discriminator in [("udacity-64", 384, 768), ("udacity-2x2", 896, 768)]:
        g, d, _ = networks(recipe)
        assert (g.count_params() - trainable(g), d.count_params() - trainable(d)) == (generator, discriminator)


def test_udacitys_own_unit_tests():
    """The course's checks: width 10, 50 faces of -1 give 50 logits; noise of 25 gives 50 faces of 32 x 32."""
    assert DISCRIMINATORS["conv"]((32, 32, 3), 10)(-np.ones((50, 32, 32, 3))).shape == (50, 1)
    noise = np.random.default_rng(0).uniform(-1, 1, (50, 25))
    for name in ("conv", "conv-2x2"):
        assert GENERATORS[name]((25,), (32, 32, 3), 10)(noise).shape == (50, 32, 32, 3)


@pytest.mark.parametrize("kind", ["vector", "image"])
@pytest.mark.parametrize("name", GENERATORS)
def test_generators(name, kind):
    """From both kinds of noise, at every kind of size: float32 faces of it in [-1, 1]; one Sequential but for ours."""
    keras.utils.set_random_seed(0)
    for size in (16, 20, 28, 32, 64, *([128] if name in ("compact", "conv") else [])):
        noise_shape = (5,) if kind == "vector" else (size, size, 3)
        model = GENERATORS[name](noise_shape, (size, size, 3), 2)
        assert isinstance(model, keras.Sequential) == (name != "compact") and model.name == "generator"
        assert model.input_shape == (None, *noise_shape)
        model.set_weights([3 * weight for weight in model.get_weights()])
        faces = model(np.random.default_rng(0).normal(size=(4, *noise_shape)), training=True).numpy()
        assert faces.shape == (4, size, size, 3) and faces.dtype == np.float32
        assert np.abs(faces).max() <= 1 and faces.std(axis=0).mean() > 0.01  # they differ from each other
        assert model.layers[-1 if name not in ("dense", "conv-dense") else -2].activation is keras.activations.tanh


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators(name):
    """At every kind of size: one Sequential but for ours, one float32 logit a face, no sigmoid last."""
    keras.utils.set_random_seed(0)
    for size in (16, 20, 28, 32, 64, *([128] if name in ("compact", "conv") else [])):
        model = DISCRIMINATORS[name]((size, size, 3), 2)
        assert isinstance(model, keras.Sequential) == (name != "compact") and model.name == "discriminator"
        model.set_weights([5 * weight for weight in model.get_weights()])
        faces = np.random.default_rng(0).uniform(-1, 1, (4, size, size, 3))
        logits = model(faces, training=True).numpy()
        assert logits.shape == (4, 1) and logits.dtype == np.float32 and logits.std() > 0
        assert model.layers[-1].activation is keras.activations.linear


def test_every_pixel_is_judged():
    """A logit hangs on each pixel of a face, at sizes whose halving is not even as well."""
    for name, discriminator in DISCRIMINATORS.items():
        for size in (20, 28):
            model = discriminator((size, size, 3), 4)
            face = tf.constant(np.random.default_rng(0).uniform(-1, 1, (2, size, size, 3)), tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(face)
                logits = tf.reduce_sum(model(face, training=False))
            assert (np.abs(tape.gradient(logits, face)).max(axis=(0, 3)) > 0).all(), (name, size)


def test_noise_modulates_every_map():
    """Where noise comes in at one place alone, the first map or the scales and shifts of any, faces differ; at none,
    they are alike.
    """
    keras.utils.set_random_seed(0)
    model = GENERATORS["compact"]((5,), (16, 16, 3), 4)
    model.set_weights([5 * weight for weight in model.get_weights()])
    places = [layer for layer, _ in kernels(model) if layer.input is model.inputs[0]]
    found = [layer.kernel.numpy() for layer in places]
    noise = np.random.default_rng(0).normal(size=(4, 5))

    def spread(only: int) -> float:
        for i, (layer, kernel) in enumerate(zip(places, found, strict=True)):
            layer.kernel.assign(kernel if i == only else 0 * kernel)
        return float(model(noise, training=False).numpy().std(axis=0).mean())

    assert len(places) == 4 and min(spread(i) for i in range(4)) > 1e-4 and spread(-1) < 1e-7


def test_the_picture_is_a_sum_of_sizes():
    """Before tanh: the 8 x 8 picture, doubled between its pixels, and the 16 x 16 one (at 16 x 16, there are two)."""
    keras.utils.set_random_seed(0)
    model = GENERATORS["compact"]((5,), (16, 16, 3), 4)
    pictures = [layer for layer in model.layers if isinstance(layer, layers.Conv2D) and layer.output.shape[-1] == 3]
    inner = keras.Model(model.inputs[0], [layer.output for layer in pictures] + model.outputs)
    small, large, faces = (x.numpy() for x in inner(np.random.default_rng(0).normal(size=(2, 5))))
    assert small.shape == (2, 8, 8, 3) and large.shape == faces.shape == (2, 16, 16, 3)
    padded = np.pad(small, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    for axis in (1, 2):  # a doubled pixel is 3/4 the nearest and 1/4 the next
        a, b, c = (np.take(padded, range(i, i + 8), axis) for i in range(3))
        both = np.stack([0.75 * b + 0.25 * a, 0.75 * b + 0.25 * c], axis + 1)
        shape = list(padded.shape)
        shape[axis] = 16
        padded = both.reshape(shape)
    np.testing.assert_allclose(faces, np.tanh(padded + large), atol=1e-6)


def test_far_parts_of_a_face_are_judged_together():
    """Two corners that no convolution sees at once: what both change is not the sum of what each does.

    Without the hidden layer it is: logits would be a sum over places.
    """
    keras.utils.set_random_seed(0)
    model = DISCRIMINATORS["compact"]((32, 32, 3), 8)
    model.set_weights([5 * weight for weight in model.get_weights()])
    faces = np.zeros((4, 32, 32, 3))  # none, the one, the other, both
    faces[1::2, :4, :4] = faces[2:, -4:, -4:] = 1
    hidden = next(layer for layer in model.layers if isinstance(layer, layers.Dense))

    def together():
        none, one, other, both = model(faces).numpy().ravel()
        return abs(both + none - one - other)

    assert together() > 1e-4
    hidden.kernel.assign(0 * hidden.kernel)
    assert together() < 1e-6


def kernels(model):
    """The weights of all convolutions and dense layers, as (layer, array)."""
    return [(layer, np.asarray(layer.kernel)) for layer in model.layers if hasattr(layer, "kernel")]


@pytest.mark.parametrize(
    "build",
    [
        lambda: GENERATORS["compact"]((128,), (16, 16, 3), 48),
        lambda: GENERATORS["conv"]((100,), (32, 32, 3), 32),
        lambda: GENERATORS["conv-2x2"]((100,), (32, 32, 3), 32),
        lambda: DISCRIMINATORS["compact"]((32, 32, 3), 48),
        lambda: DISCRIMINATORS["conv"]((32, 32, 3), 64),
    ],
    ids=["G compact", "G conv", "G conv-2x2", "D compact", "D conv"],
)
def test_normal_kernels(build):
    """DCGAN kernels start as N(0, 0.02), within five standard errors, biases at 0, and no two alike.

    But for the biases of scales by noise (compact): these are 1.
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
    """Keras-GAN's kernels start uniform up to sqrt(6 / (inputs + outputs)), biases at 0."""
    keras.utils.set_random_seed(0)
    found = kernels(GENERATORS[name]((100,), (28, 28, 3), 8)) + kernels(DISCRIMINATORS[name]((28, 28, 3), 8))
    for layer, kernel in found:
        field = math.prod(kernel.shape[:-2])
        limit = math.sqrt(6 / (field * (kernel.shape[-2] + kernel.shape[-1])))
        assert np.abs(kernel).max() <= limit, layer.name
        relative_error = math.sqrt(0.2 / kernel.size)  # of a uniform law's standard deviation, limit / sqrt(3)
        assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=5 * relative_error), layer.name
        assert not np.asarray(layer.bias).any()


@pytest.mark.parametrize(
    ("name", "momentum", "epsilon"),
    [
        ("compact", 0.9, 1e-5), ("conv", 0.9, 1e-5), ("conv-2x2", 0.9, 1e-5),
        ("upsample", 0.8, 1e-3), ("dense", 0.8, 1e-3), ("conv-dense", 0.8, 1e-3),
    ],
)  # fmt: skip
def test_batch_norm_settings(name, momentum, epsilon):
    """PyTorch's batch norm in the DCGAN pairs, Keras-GAN's in the others."""
    models = [GENERATORS[name]((5,), (28, 28, 3), 4), DISCRIMINATORS[name.removesuffix("-2x2")]((28, 28, 3), 4)]
    norms = [layer for m in models for layer in m.layers if isinstance(layer, BatchNormalization)]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(momentum, epsilon)}


LETTERS = {
    layers.Conv2D: "c", layers.Conv2DTranspose: "t", UpsamplingConv2D: "u", layers.Dense: "d", layers.Reshape: "r",
    layers.Flatten: "f", BatchNormalization: "n", layers.ReLU: "R", layers.LeakyReLU: "L",
    layers.Dropout: "o", layers.ZeroPadding2D: "z",
}  # fmt: skip


def spelled(model):
    """A network in letters; an activation inside a layer comes after the layer's own letter, R ReLU, T tanh."""
    word = ""
    for layer in model.layers:
        word += LETTERS[type(layer)]
        word += {"relu": "R", "tanh": "T"}.get(getattr(getattr(layer, "activation", None), "__name__", ""), "")
        if isinstance(layer, layers.LeakyReLU):
            assert layer.negative_slope == pytest.approx(0.2)
        if isinstance(layer, layers.Dropout):
            assert layer.rate == 0.25
    return word


@pytest.mark.parametrize(
    ("name", "size", "generator", "discriminator"),
    [
        ("conv", 32, "d r tnR tnR tT", "cL cnL cnL f d"),  # nothing between the linear layer and the first t
        ("upsample", 28, "dR r n uR n uR n cT", "cLo czLon cLon cLo f d"),  # normalised after the dropout
        ("dense", 28, "f dLn dLn dLn dT r", "f dL dL d"),  # normalised after the activation
        ("conv-dense", 28, "cR n uR n f dLn dLn dLn dT r", "cR cR f dL dL d"),
    ],
)
def test_order_of_layers(name, size, generator, discriminator):
    """The historical networks layer by layer, which their weight counts alone would not fix."""
    noise = (size, size, 3) if name == "conv-dense" else (5,)
    assert spelled(GENERATORS[name](noise, (size, size, 3), 2)) == generator.replace(" ", "")
    assert spelled(DISCRIMINATORS[name]((size, size, 3), 2)) == discriminator.replace(" ", "")
