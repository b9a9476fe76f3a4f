import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
import train_pairs
from helpers import LONG
from keras import layers

from dcgan import DCGAN, NOISE_DISTRIBUTIONS
from gan import experiment
from gan.config import Config
from gan.labels import Attribute, Labels
from gan.training.ada import Adaptation
from gan.training.discriminator_augmentation import DISCRIMINATOR_AUGMENTATIONS
from gan.training.losses import LOSSES, Loss
from gan.training.optimizers import build_optimizer
from gan.training.regularizers import ESTIMATED_AT, REGULARIZERS, FiniteDifference, Penalty, r1
from models import DISCRIMINATORS, GENERATORS
from models.heads import split_logits
from models.layers import BatchNormalization
from models.portable import to_stock_keras

SIDE = 16
SCALARS = ("d_loss", "g_loss", "real_score", "fake_score")
# A loss without gradients.
ZERO_LOSS = Loss(
    discriminator=lambda real, fake: 0 * tf.reduce_sum(real + fake),
    generator=lambda real, fake: 0 * tf.reduce_sum(fake),
    scores=lambda real, fake: (real, fake),
)


@pytest.fixture(autouse=True)
def float32_afterwards():
    """Resets the global precision policy to float32 after each test."""
    yield
    keras.mixed_precision.set_global_policy("float32")


def networks(dropout=0.0):
    """Two small networks: a generator with batch norm, a discriminator with or without dropout."""
    keras.utils.set_random_seed(3)
    generator = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4 * 4 * 2),
            layers.Reshape((4, 4, 2)),
            BatchNormalization(momentum=0.9),
            layers.Conv2DTranspose(3, 4, 4, "same", activation="tanh", dtype="float32"),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(2, 4, 4),
            layers.LeakyReLU(0.2),
            *([layers.Dropout(dropout)] if dropout else []),
            layers.Flatten(),
            layers.Dense(1, dtype="float32"),
        ]
    )
    return generator, discriminator


def build(generator=None, discriminator=None, *, dropout=0.0, scaled=False, **options):
    """Builds a DCGAN from the given networks, or from small ones; `options` override the default arguments."""
    if generator is None:
        generator, discriminator = networks(dropout)
    settings = {
        "g_optimizer": build_optimizer("adam", 2e-3, (0.5, 0.999), scale_loss=scaled),
        "d_optimizer": build_optimizer("adam", 4e-3, (0.5, 0.999), scale_loss=scaled),
        "loss": LOSSES["cross-entropy"],
        "penalty": Penalty(r1),
        "noise": NOISE_DISTRIBUTIONS["normal"],
        "seed": 5,
    }
    return DCGAN(generator, discriminator, **{**settings, **options})


def train(gan, real):
    """Runs one compiled step on images without labels and returns the values of `SCALARS`, (4,)."""
    scalars = gan.train_step((real, no_labels(real)))
    return np.array([scalars[name] for name in SCALARS])


def train_eagerly(gan, real):
    """Does the same as `train` in eager mode: for a few steps of small networks that is faster than tracing."""
    scalars = gan.step(real, no_labels(real), gan.penalty is not None and gan.penalty.is_due(int(gan.iteration)))
    return np.array([scalars[name] for name in SCALARS])


def no_labels(real):
    """Empty labels, (n, 0)."""
    return tf.zeros((len(real), 0))


def faces(number, count=4):
    """A batch of random pixels in place of real images; `number` is the seed."""
    return tf.constant(np.random.default_rng(number).uniform(-1, 1, (count, SIDE, SIDE, 3)), tf.float32)


def arrays(variables):
    """The values of variables as NumPy arrays."""
    return [variable.numpy() for variable in variables]


def unchanged(before, variables):
    """Whether each variable still has its earlier value."""
    return [np.array_equal(old, new) for old, new in zip(before, arrays(variables), strict=True)]


def non_trainable(model):
    """The paths of a model's non-trainable variables."""
    return {weight.path for weight in model.non_trainable_variables}


def test_update_discriminator_changes_only_the_discriminator():
    """It changes D's weights and its optimizer's state; in G, only the statistics of batch norm change."""
    gan = build(penalty=Penalty(r1, 0.1))
    everything = [gan.generator.variables, gan.discriminator.variables, gan.g_optimizer.variables]
    before = [arrays(variables) for variables in everything]
    steps = int(gan.d_optimizer.iterations)
    gan.update_discriminator(faces(0), gan.generate(gan.sample_noise(faces(0), 0))[0], penalize=True)
    g, d, g_optimizer = (unchanged(b, variables) for b, variables in zip(before, everything, strict=True))
    assert not any(d) and all(g_optimizer)
    changed = {v.path for v, same in zip(gan.generator.variables, g, strict=True) if not same}
    assert changed == non_trainable(gan.generator)
    assert int(gan.d_optimizer.iterations) == steps + 1 and int(gan.g_optimizer.iterations) == 0


def test_update_generator_changes_only_the_generator():
    """It changes G's weights and its optimizer's state; D and its optimizer do not change."""
    gan = build(*networks(), penalty=Penalty(r1, 0.1))
    everything = [gan.generator.variables, gan.discriminator.variables, gan.d_optimizer.variables]
    before = [arrays(variables) for variables in everything]
    fake, tape = gan.generate(gan.sample_noise(faces(0), 1))
    gan.update_generator(faces(0), fake, None, tape)
    g, d, d_optimizer = (unchanged(b, variables) for b, variables in zip(before, everything, strict=True))
    constant = {v.path for v, same in zip(gan.generator.variables, g, strict=True) if same}
    assert constant <= {gan.generator.layers[0].bias.path}  # batch norm cancels this bias
    assert all(d) and all(d_optimizer) and int(gan.g_optimizer.iterations) == 1


def train_reference(generator, discriminator, reals, *, gamma, every, smoothing, seed):
    """Trains without code of this project: stock layers, keras.optimizers.Adam, one gradient tape per update."""
    g_adam = keras.optimizers.Adam(2e-3, 0.5, 0.999, epsilon=1e-8)
    d_adam = keras.optimizers.Adam(4e-3, 0.5, 0.999, epsilon=1e-8)
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    history, average = [], [weight.numpy() for weight in generator.weights]
    for iteration, real in enumerate(reals):
        noise = [
            tf.random.stateless_normal((len(real), 3), tf.constant([seed, 2 * iteration + micro_step], tf.int64))
            for micro_step in (0, 1)
        ]
        fake = generator(noise[0], training=True)
        with tf.GradientTape() as tape:
            real_logits = discriminator(real, training=True)
            fake_logits = discriminator(fake, training=True)
            d_loss = bce((1 - smoothing) * tf.ones_like(real_logits), real_logits)
            d_loss += bce(tf.zeros_like(fake_logits), fake_logits)
            total = d_loss
            if iteration % every == 0:
                with tf.GradientTape() as inner:
                    inner.watch(real)
                    logits = discriminator(real, training=True)
                slope = tf.reshape(inner.gradient(logits, real), (len(real), -1))
                total += every * gamma / 2 * tf.reduce_mean(tf.norm(slope, axis=1) ** 2)
        weights = discriminator.trainable_weights
        d_adam.apply_gradients(zip(tape.gradient(total, weights), weights, strict=True))
        with tf.GradientTape() as tape:
            logits = discriminator(generator(noise[1], training=True), training=True)
            g_loss = bce(tf.ones_like(logits), logits)
        weights = generator.trainable_weights
        g_adam.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        decay = 0.5 ** (len(real) / min(10.0, len(real) * (iteration + 1) / 20))
        average = [decay * a + (1 - decay) * w.numpy() for a, w in zip(average, generator.weights, strict=True)]
        history.append([d_loss, g_loss, *(tf.reduce_mean(tf.sigmoid(x)) for x in (real_logits, fake_logits))])
    return np.array(history), average


@pytest.mark.parametrize(("name", "gamma"), [("self-modulated", 0.3), ("conv", 0.0)])
def test_training_equals_a_reference_implementation(name, gamma):
    """Five steps have the losses, scores, weights and EMA of an independent implementation; the default's are compiled.

    "conv" is tested without a penalty, as the second derivatives of Keras's batch norm are not exact.
    """
    keras.utils.set_random_seed(1)
    generator = GENERATORS[name]((3,), (SIDE, SIDE, 3), 2)
    discriminator = DISCRIMINATORS[name]((SIDE, SIDE, 3), 2)
    # Kernels are enlarged: with N(0, 0.02) in networks this narrow, gradients are near 0 and Adam divides 0 by 0.
    for model in (generator, discriminator):
        model.set_weights([w if w.ndim == 1 else 10 * w for w in model.get_weights()])
    options = {"gamma": gamma, "every": 2, "smoothing": 0.1, "seed": 7}
    reals = [faces(i) for i in range(5)]
    expected = to_stock_keras(generator), to_stock_keras(discriminator)
    history, average = train_reference(*expected, reals, **options)
    gan = build(
        generator, discriminator, penalty=Penalty(r1, gamma, every=2), loss=LOSSES["cross-entropy"].smoothed(0.1),
        ema_half_lives=(10.0,), seed=7,
    )  # fmt: skip
    step = train if name == "self-modulated" else train_eagerly
    np.testing.assert_allclose([step(gan, real) for real in reals], history, rtol=1e-3, atol=1e-4)
    for ours, theirs in zip((generator, discriminator), expected, strict=True):
        for a, b in zip(ours.trainable_weights, theirs.trainable_weights, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4, err_msg=a.path)
    for a, b in zip(gan.ema_generator.weights, average, strict=True):
        if "moving_variance" not in a.path:  # this project's is unbiased, Keras's is not
            np.testing.assert_allclose(a, b, atol=1e-4, err_msg=a.path)
    assert int(gan.iteration) == 5


def test_jit():
    """Two steps that XLA compiles are those of TensorFlow's own kernels, up to rounding, given the same noise."""

    def noise(shape, seed):
        numbers = tf.range(tf.reduce_prod(shape)) + 100 * tf.cast(seed[1], tf.int32)
        return tf.sin(tf.cast(tf.reshape(numbers, shape), tf.float32))

    plain, compiled = (build(ema_half_lives=(10.0,), noise=noise, jit=jit) for jit in (False, True))
    for gan in (plain, compiled):
        for number in range(2):
            train(gan, faces(number))
    for name, variable in plain.state().items():
        np.testing.assert_allclose(variable.numpy(), compiled.state()[name].numpy(), rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow(minutes=1)
@pytest.mark.parametrize(
    ("pair", "precision"),
    [
        ("self-modulated", "mixed_bfloat16"),
        ("conv", "mixed_float16"),
        pytest.param("everything", "mixed_bfloat16", marks=LONG),
    ],
)
def test_jit_of_our_networks(pair, precision):
    """XLA compiles their step in each precision, that of `default` with a penalty and augmentation."""
    settings = {**train_pairs.SMALL, **train_pairs.PAIRS[pair], "precision": precision, "jit": True}
    more = {"penalty": "none"} if pair == "conv" else {"augment": "ada", "penalty": "r1", "penalty_every": 1}
    config = Config(**{**settings, **more})
    gan = experiment.build_gan(config)
    real = tf.zeros((config.images_per_iteration, config.image_size, config.image_size, 3))
    assert all(np.isfinite(value) for value in gan.train_step((real, no_labels(real))).values())


def test_number_of_traced_graphs():
    """Training traces two graphs, with and without the penalty; generating samples of one batch size traces one."""
    gan = build(penalty=Penalty(r1, 0.1, every=3), ema_half_lives=(10.0,))
    for number in range(6):
        assert np.isfinite(train(gan, faces(number))).all()
        gan.generate_images(gan.fixed_noise(5))
    assert gan.compiled_step.experimental_get_tracing_count() == 2
    assert gan.generate_images.experimental_get_tracing_count() == 1


def test_without_a_half_life_there_is_no_ema():
    """Without an EMA there is no second network, and its weights are not in the state."""
    gan = build()
    assert gan.ema_generator is gan.generator
    assert not any(name.startswith("ema_generator") for name in gan.state())
    train_eagerly(gan, faces(0))
    noise = gan.fixed_noise(2)
    np.testing.assert_array_equal(gan.generate_images(noise), gan.generator(noise, training=False))


def test_samples_come_from_the_ema():
    """generate_images uses the EMA at inference, not the generator, and does not change its statistics."""
    gan = build(ema_half_lives=(8.0,))
    for weight in gan.generator.weights:
        weight.assign(weight + 1)
    noise, before = gan.fixed_noise(2), arrays(gan.ema_generator.weights)
    gan.calibrate_ema(lambda noise: None)
    np.testing.assert_allclose(gan.generate_images(noise), gan.ema_generator(noise, training=False), atol=1e-6)
    assert np.abs(gan.generate_images(noise) - gan.generator(noise, training=False)).max() > 0.1
    assert all(unchanged(before, gan.ema_generator.weights))


def test_calibrate_ema():
    """calibrate_ema calibrates a copy of the EMA with noise of its own stream, and leaves the EMA itself unchanged."""
    gan = build(ema_half_lives=(8.0,))
    before, noises = arrays(gan.ema_generator.weights), []

    def calibrate(noise):
        noises.extend(noise(i).numpy() for i in range(3))
        kernel = (gan if gan.averages else without).calibrated_ema.weights[0]
        kernel.assign(kernel + 1)

    for _ in range(2):  # each time, calibration starts from the EMA
        gan.calibrate_ema(calibrate)
        np.testing.assert_allclose(gan.calibrated_ema.weights[0], before[0] + 1, rtol=1e-6)
    assert all(unchanged(before, gan.ema_generator.weights)) and all(unchanged(before, gan.generator.weights))
    assert len({noise.tobytes() for noise in [*noises, gan.fixed_noise(100).numpy()]}) == 4
    assert noises[0].shape == (100, 3)
    without = build()
    without.calibrate_ema(calibrate)  # is not called
    assert len(noises) == 6 and without.calibrated_ema is without.generator


@pytest.mark.parametrize(
    ("iteration", "decay"),
    [
        (0, 0.5**20),  # 4 images seen: the half-life is 4 / 20 = 0.2, a batch of 4 is 20 half-lives
        (9, 0.25),  # 40 images seen: the half-life is 2, a batch is 2 half-lives
        (39, 0.5**0.5),  # 160 images seen: the half-life is 8, as given
        (999, 0.5**0.5),  # 4000 images seen: the half-life stays 8, which is less than 200
    ],
)
def test_ema_by_hand(iteration, decay):
    """With batches of 4 and a half-life of 8 images, an EMA of 0 moves to 1 - decay for weights of 1."""
    gan = build(ema_half_lives=(8.0,))
    for weight, average in zip(gan.generator.weights, gan.ema_generator.weights, strict=True):
        weight.assign(tf.ones_like(weight))
        average.assign(tf.zeros_like(average))
    gan.iteration.assign(iteration)
    gan.update_ema(4)
    for average in gan.ema_generator.weights:
        np.testing.assert_allclose(average, 1 - decay, rtol=1e-5)


def test_two_averages_by_hand():
    """With batches of 4 and half-lives of 8 and 4 images, averages of 0 move to 1 - 2^(-1/2) and 1/2 for weights of 1.

    Samples come from the one that is selected.
    """
    gan = build(ema_half_lives=(8.0, 4.0), ema_ramp_up=False)
    first, second = gan.averages.values()
    for network, value in ((gan.generator, 1.0), (first, 0.0), (second, 0.0)):
        network.set_weights([np.full_like(weight, value) for weight in network.get_weights()])
    gan.update_ema(4)
    for number, average, value in ((0, first, 1 - 0.5**0.5), (1, second, 0.5)):
        gan.selected = number
        gan.calibrate_ema(lambda batch: None)
        assert gan.ema_generator is average
        for weight in (*average.weights, *gan.calibrated_ema.weights):
            np.testing.assert_allclose(weight, value, rtol=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_an_average_does_not_depend_on_others():
    """With one, alone or beside another, all weights and moments are the same to the bit, and have the same names."""
    states = []
    for half_lives in ((10.0,), (10.0, 0.1)):
        gan = build(ema_half_lives=half_lives, penalty=Penalty(r1, 0.1))
        for number in range(3):
            train(gan, faces(number))
        states.append({name: variable.numpy() for name, variable in gan.state().items()})
    one, two = states
    assert one.keys() == {name for name in two if not name.startswith("ema_generator-2/")} != two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)
    assert not np.array_equal(two["ema_generator/000"], two["ema_generator-2/000"])


def test_noise_depends_on_seed_iteration_and_micro_step():
    """Seed, iteration and micro-step determine the noise; the noise of sample grids differs from all of it."""
    gan, real = build(discriminator_steps=2), faces(0)
    noises = []
    for seed in (5, 6):
        gan.seed = seed
        for iteration in (0, 1, 2):
            gan.iteration.assign(iteration)
            noises += [gan.sample_noise(real, micro_step).numpy() for micro_step in (0, 1, 2)]
        noises.append(gan.fixed_noise(4).numpy())
    assert len({noise.tobytes() for noise in noises}) == len(noises) == 20
    assert all(noise.shape == (4, 3) for noise in noises)
    again = build(discriminator_steps=2, seed=6)
    again.iteration.assign(2)
    np.testing.assert_array_equal(again.sample_noise(real, 1), noises[-3])
    np.testing.assert_array_equal(again.fixed_noise(4), noises[-1])


def test_large_seeds():
    """Seeds of more than 31 bits give noise of their own in training and in sample grids."""
    first, second = build(seed=2**31 + 1), build(seed=2**32 - 1)
    assert not np.allclose(first.sample_noise(faces(0), 0), second.sample_noise(faces(0), 0))
    assert not np.allclose(first.fixed_noise(2), second.fixed_noise(2))


def test_noise_distributions():
    """Normal noise has mean 0, standard deviation 1 and kurtosis 3; uniform noise fills [-1, 1) evenly."""
    normal, uniform = (np.asarray(NOISE_DISTRIBUTIONS[name]((200, 500), (1, 2))) for name in ("normal", "uniform"))
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02 and abs((normal**4).mean() - 3) < 0.2
    assert -1 <= uniform.min() < -0.999 and 0.999 < uniform.max() < 1
    np.testing.assert_allclose(np.histogram(uniform, 4, (-1, 1))[0], 25_000, rtol=0.03)


def test_noise_has_the_generators_input_shape():
    """A generator whose input is an image gets noise images."""
    gan = build(GENERATORS["dense"]((4, 4, 3), (SIDE, SIDE, 3), 2), networks()[1])
    assert gan.sample_noise(faces(0), 0).shape == (4, 4, 4, 3) and gan.fixed_noise(7).shape == (7, 4, 4, 3)
    assert np.abs(gan.generate_images(gan.fixed_noise(7))).max() <= 1


@pytest.mark.usefixtures("eagerly")
def test_noise_projection_is_not_trained():
    """The kernel that projects a noise image to a vector keeps its initial value; all other weights change."""
    generator = GENERATORS["self-modulated"]((SIDE, SIDE, 3), (SIDE, SIDE, 3), 2)
    gan = build(generator, networks()[1], ema_half_lives=(10.0,))
    before = [weight.numpy() for weight in gan.generator.weights]
    for seed in range(2):
        train(gan, faces(seed))
    both = gan.generator, gan.ema_generator
    kernel, averaged = (next(x.kernel for x in one.layers if hasattr(x, "kernel")) for one in both)
    assert not kernel.trainable
    for weight, old in zip(gan.generator.weights, before, strict=True):
        assert (weight.numpy() == old).all() == (weight is kernel), weight.path
    np.testing.assert_allclose(averaged, kernel, rtol=1e-6)


def linear(weight):
    """A discriminator D(x) = w . x of images of one pixel."""
    model = keras.Sequential([keras.Input((1, 1, 3)), layers.Flatten(), layers.Dense(1, use_bias=False)])
    model.set_weights([np.reshape(weight, (3, 1))])
    return model


def pixel_generator():
    """A generator of images of one pixel."""
    return keras.Sequential([keras.Input((2,)), layers.Dense(3), layers.Reshape((1, 1, 3))])


def linear_with_penalty(regularizer, every=1, share=1.0, **options):
    """A GAN of D(x) = w . x, w = (1, -2, 4), that learns by SGD from its penalty alone."""
    return build(
        pixel_generator(), linear([1.0, -2.0, 4.0]), loss=ZERO_LOSS, penalty=Penalty(regularizer, 0.1, every, share),
        d_optimizer=keras.optimizers.SGD(0.5), g_optimizer=keras.optimizers.SGD(0.5), **options,
    )  # fmt: skip


@pytest.mark.parametrize("batch", [1.0, 0.5])
@pytest.mark.usefixtures("eagerly")
def test_penalty_by_finite_differences(batch):
    """Of w . x, it is the mean of (v . w)^2 / 2, with gradient (v . w) v: v are drawn by (seed, iteration)."""
    gan = linear_with_penalty(FiniteDifference(ESTIMATED_AT["r1"], 0.25), every=2, share=batch)
    real = tf.constant(np.random.default_rng(1).normal(size=(6, 1, 1, 3)), tf.float32)
    w, v = np.array([1.0, -2.0, 4.0]), gan.penalty.regularizer.direction(real[: int(6 * batch)], (5 + 2**36, 0))
    along = v.numpy().reshape(-1, 3) @ w
    scalars = gan.train_step((real, no_labels(real)))
    assert float(scalars["penalty"]) == pytest.approx(0.1 * np.mean(along**2) / 2, rel=1e-4)
    gradient = np.mean(along[:, None] * v.numpy().reshape(-1, 3), axis=0)
    np.testing.assert_allclose(gan.discriminator.get_weights()[0][:, 0], w - 0.5 * 0.1 * 2 * gradient, rtol=1e-3)


@pytest.mark.usefixtures("eagerly")
def test_finite_differences_see_the_augmentation_of_the_loss():
    """An image and its neighbor are augmented alike, also where the penalty sees a part of the batch."""

    def shift(images, seed, probability):
        return images + tf.random.stateless_normal(tf.shape(images), seed)

    values = []
    for augment in (None, shift):
        gan = linear_with_penalty(FiniteDifference(ESTIMATED_AT["r1+r2"], 0.1), share=0.5, augment=augment)
        values.append(float(gan.train_step((tf.zeros((4, 1, 1, 3)), tf.zeros((4, 0))))["penalty"]))
    assert values[0] > 0 and values[1] == pytest.approx(values[0], rel=1e-4)  # as D is linear, all else cancels


@pytest.mark.parametrize(("share", "count"), [(1.0, 6), (0.5, 3), (0.01, 1), (0.6, 4)])
def test_penalty_batch(share, count):
    """A penalty sees that share of the images, at least one, evenly spaced, and fakes of the same rows."""
    seen = []
    gan = linear_with_penalty(lambda discriminate, real, fake: seen.append((real, fake)) or 0.0 * tf.reduce_sum(real),
                              share=share)  # fmt: skip
    images = tf.reshape(tf.range(18.0), (6, 1, 1, 3))
    gan.add_penalty([tf.zeros((3, 1))], images, -images, no_labels(images))
    rows = [k * 6 // count for k in range(count)]
    np.testing.assert_array_equal(seen[0][0], images.numpy()[rows])
    np.testing.assert_array_equal(seen[0][1], -images.numpy()[rows])


@pytest.mark.usefixtures("eagerly")
def test_random_regularizer_gets_a_seed():
    """The gradient penalty of w . x is (|w| - 1)^2, with gradient 2 (|w| - 1) w / |w|."""
    gan = linear_with_penalty(REGULARIZERS["gradient"])
    w = np.array([1.0, -2.0, 4.0])
    norm = np.linalg.norm(w)
    scalars = gan.train_step((tf.zeros((4, 1, 1, 3)), tf.zeros((4, 0))))
    assert float(scalars["penalty"]) == pytest.approx(0.1 * (norm - 1) ** 2, rel=1e-5)
    expected = w - 0.5 * 0.1 * 2 * (norm - 1) * w / norm
    np.testing.assert_allclose(gan.discriminator.get_weights()[0][:, 0], expected, rtol=1e-5)


def test_discriminator_noise():
    """All that D sees has noise of that standard deviation, by seed and iteration, and other noise where it is fake.

    D(x) = w . x of black images is w . n, so that the mean squared score of 4,000 images is |w|^2 sigma^2.
    """
    w, black = np.array([1.0, -2.0, 4.0]), tf.zeros((4000, 1, 1, 3))
    gan = linear_with_penalty(None, discriminator_noise=tf.Variable(0.5))
    seen = [gan.discriminate(black, fake=fake)[:, 0].numpy() for fake in (False, True, False)]
    assert np.mean(seen[0] ** 2) == pytest.approx(0.25 * (w**2).sum(), rel=0.1)
    np.testing.assert_array_equal(seen[0], seen[2])
    assert abs(np.corrcoef(seen[0], seen[1])[0, 1]) < 0.1
    gan.iteration.assign_add(1)
    assert abs(np.corrcoef(seen[0], gan.discriminate(black)[:, 0])[0, 1]) < 0.1
    gan.discriminator_noise.assign(0.0)
    np.testing.assert_array_equal(gan.discriminate(black), np.zeros((4000, 1)))


@pytest.mark.usefixtures("eagerly")
def test_lazy_penalty():
    """R1 of w . x is |w|^2 / 2 with gradient w: every third step subtracts rate * weight * 3 * w, others nothing.

    These steps report the weighted penalty, 0.1 |w|^2 / 2, and the others none.
    """
    gan = build(
        pixel_generator(), linear([1.0, -2.0, 4.0]), loss=ZERO_LOSS, penalty=Penalty(r1, 0.1, every=3),
        d_optimizer=keras.optimizers.SGD(0.5), g_optimizer=keras.optimizers.SGD(0.5),
    )  # fmt: skip
    seen, penalties = [], []
    for _ in range(7):
        penalties.append(gan.train_step((tf.ones((4, 1, 1, 3)), tf.zeros((4, 0)))).get("penalty"))
        seen.append(gan.discriminator.get_weights()[0][1, 0] / -2)
    kept = 1 - 0.5 * 0.1 * 3
    np.testing.assert_allclose(seen, [kept, kept, kept, kept**2, kept**2, kept**2, kept**3], rtol=1e-6)
    assert [penalty is None for penalty in penalties] == [False, True, True, False, True, True, False]
    np.testing.assert_allclose(penalties[::3], [1.05, 1.05 * kept**2, 1.05 * kept**4], rtol=1e-6)


@pytest.mark.parametrize("reuse_fakes", [False, True])
def test_discriminator_steps_use_different_images(reuse_fakes):
    """Three updates of D use 2 of an iteration's 6 images each and noise of their own; G's reuses fakes if asked to."""
    reals, noises, fakes, g_fakes = [], [], [], []
    gan = build(discriminator_steps=3, reuse_fakes=reuse_fakes)
    generate, update_discriminator, update_generator = gan.generate, gan.update_discriminator, gan.update_generator
    gan.generate = lambda noise, labels: (noises.append(noise), generate(noise, labels))[-1]
    gan.update_discriminator = lambda real, fake, *rest: (
        reals.append(real), fakes.append(fake), update_discriminator(real, fake, *rest)
    )[-1]  # fmt: skip
    gan.update_generator = lambda real, fake, *rest: (g_fakes.append(fake), update_generator(real, fake, *rest))[-1]
    train_eagerly(gan, faces(0, 6))
    np.testing.assert_array_equal(tf.concat(reals, 0), faces(0, 6))
    assert [len(real) for real in reals] == [2, 2, 2] and {len(noise) for noise in noises} == {2}
    assert len({noise.numpy().tobytes() for noise in noises}) == len(noises) == (3 if reuse_fakes else 4)
    assert (g_fakes[0] is fakes[-1]) is reuse_fakes
    assert int(gan.d_optimizer.iterations) == 3 and int(gan.g_optimizer.iterations) == 1
    assert int(gan.iteration) == 1


def test_label_smoothing_changes_only_the_discriminator_loss():
    """At learning rates of 0, smoothing by s adds s * mean D(x) to D's cross-entropy and nothing to G's."""
    steps = []
    for smoothing in (0.0, 0.2):
        frozen = {
            "g_optimizer": build_optimizer("adam", 0.0, (0.5, 0.999)),
            "d_optimizer": build_optimizer("adam", 0.0, (0.5, 0.999)),
        }
        gan = build(*networks(), loss=LOSSES["cross-entropy"].smoothed(smoothing), **frozen)
        steps.append(train_eagerly(gan, faces(0)))
        mean_logit = float(tf.reduce_mean(gan.discriminate(faces(0))))
    plain, smoothed = steps
    assert abs(mean_logit) > 0.01
    assert smoothed[0] - plain[0] == pytest.approx(0.2 * mean_logit, rel=1e-4)
    np.testing.assert_array_equal(smoothed[1:], plain[1:])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    """In 16 bits, last layers, logits and weights are float32, losses are finite, and every weight is trained.

    The steps in float16 are compiled, as those that overflow are skipped in a branch of the graph.
    """
    keras.mixed_precision.set_global_policy(policy)
    generator = GENERATORS["self-modulated"]((3,), (SIDE, SIDE, 3), 2)
    discriminator = DISCRIMINATORS["self-modulated"]((SIDE, SIDE, 3), 2)
    gan = build(
        generator, discriminator, scaled=policy == "mixed_float16", penalty=Penalty(r1, 0.1), ema_half_lives=(10.0,)
    )
    assert generator.layers[-1].compute_dtype == discriminator.layers[-1].compute_dtype == "float32"
    assert discriminator.layers[1].compute_dtype == policy.removeprefix("mixed_")
    before = arrays([*generator.trainable_variables, *discriminator.trainable_variables])
    step = train if policy == "mixed_float16" else train_eagerly
    for number in range(3):  # a float16 step that overflows is skipped and halves the loss scale
        assert np.isfinite(step(gan, faces(number))).all()
    assert not any(unchanged(before, [*generator.trainable_variables, *discriminator.trainable_variables]))
    assert {variable.dtype for variable in generator.variables + discriminator.variables} == {"float32"}
    assert gan.discriminate(faces(0)).dtype == gan.generate_images(gan.fixed_noise(2)).dtype == tf.float32


def test_float16_trains_like_float32():
    """Three steps with loss scaling in float16 change the weights as in float32, within 2% of the change."""
    updates = []
    for policy in ("float32", "mixed_float16"):
        keras.mixed_precision.set_global_policy(policy)
        gan = build(
            *networks(), scaled=policy == "mixed_float16", penalty=Penalty(r1, 0.1),
            d_optimizer=keras.optimizers.SGD(0.1) if policy == "float32" else keras.optimizers.LossScaleOptimizer(
                keras.optimizers.SGD(0.1), initial_scale=128.0
            ),
        )  # fmt: skip
        before = arrays(gan.discriminator.weights)
        for number in range(3):
            train_eagerly(gan, faces(number))
        after = arrays(gan.discriminator.weights)
        updates.append(np.concatenate([(a - b).ravel() for a, b in zip(after, before, strict=True)]))
    exact, rounded = updates
    assert np.linalg.norm(rounded - exact) < 0.02 * np.linalg.norm(exact)


def test_state_is_sufficient_to_resume():
    """Two steps, and two more in a new DCGAN with the first one's state, give bit-identical results to four steps."""
    options = {"dropout": 0.5, "penalty": Penalty(r1, 0.1, every=2), "ema_half_lives": (10.0, 0.1)}
    whole, stopped = build(**options), build(**options)
    for number in range(4):
        train_eagerly(whole, faces(number))
    for number in range(2):
        train_eagerly(stopped, faces(number))
    kept = {name: variable.numpy() for name, variable in stopped.state().items()}
    keras.utils.set_random_seed(99)
    generator, discriminator = networks(0.5)
    for weight in discriminator.variables + generator.variables:
        weight.assign(tf.zeros_like(weight))  # initial weights must not matter
    resumed = build(generator, discriminator, **{name: v for name, v in options.items() if name != "dropout"})
    assert list(resumed.state()) == list(kept)
    for name, variable in resumed.state().items():
        variable.assign(kept[name])
    for number in (2, 3):
        train_eagerly(resumed, faces(number))
    for name, variable in whole.state().items():
        np.testing.assert_array_equal(variable, resumed.state()[name], err_msg=name)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_penalty_has_gradients_in_every_discriminator(name):
    """R1 has a gradient in every kernel of each discriminator, also through batch norm and dropout."""
    keras.utils.set_random_seed(0)
    discriminator = DISCRIMINATORS[name]((SIDE, SIDE, 3), 4)
    # A kernel that starts as 0 lets nothing through to those before it.
    weights = [w if w.ndim == 1 or w.any() else w + 0.1 for w in discriminator.get_weights()]
    discriminator.set_weights([w if w.ndim == 1 else 5 * w for w in weights])
    gan = build(networks()[0], discriminator, penalty=Penalty(r1, 1.0))
    nothing = [tf.zeros_like(weight) for weight in discriminator.trainable_weights]
    for gradient in gan.add_penalty(nothing, faces(0), faces(1))[0]:
        assert np.isfinite(gradient).all()
        assert len(gradient.shape) == 1 or np.abs(gradient).max() > 1e-6  # that of a bias may be 0


def test_san_head_turns_its_direction_alone():
    """A head's kernel grows as without SAN, turns as Wasserstein's loss has it, and no penalty turns it.

    That loss is, for the hinge, the difference of the mean features of real images and fakes. All else stays the same.
    Penalties are exact, or estimated by finite differences.
    """

    def gradients(san, regularizer):
        keras.utils.set_random_seed(3)
        discriminator = keras.Sequential(
            [keras.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(3, "tanh"), layers.Dense(1)]
        )
        gan = build(
            networks()[0], discriminator, loss=LOSSES["hinge"], penalty=regularizer and Penalty(regularizer),
            d_optimizer=keras.optimizers.SGD(1.0), split_logits=split_logits(discriminator) if san else None,
        )  # fmt: skip
        before, features = arrays(discriminator.trainable_variables), discriminator.layers[-2].output
        difference = keras.Model(discriminator.inputs, features)
        difference = np.mean(difference(faces(0)) - difference(faces(1)), axis=0)
        gan.update_discriminator(faces(0), faces(1), penalize=regularizer is not None)
        changes = [new - old for new, old in zip(arrays(discriminator.trainable_variables), before, strict=True)]
        return changes, before[2][:, 0] / np.linalg.norm(before[2]), difference

    for regularizer in (None, REGULARIZERS["r1"], FiniteDifference(ESTIMATED_AT["r1+r2"], 0.1)):
        (linear, direction, difference), (san, *_) = gradients(False, regularizer), gradients(True, regularizer)
        for i in (0, 1, 3):
            np.testing.assert_allclose(san[i], linear[i], atol=1e-5)
        np.testing.assert_allclose(san[2][:, 0] @ direction, linear[2][:, 0] @ direction, atol=1e-5)
        rest = np.eye(3) - np.outer(direction, direction)
        np.testing.assert_allclose(rest @ san[2][:, 0], rest @ difference, atol=1e-5)


def build_with_labels(**options):
    """A tiny DCGAN whose networks take labels: one of two classes."""
    keras.utils.set_random_seed(4)
    noise, given = keras.Input((3,), name="noise"), keras.Input((2,), name="labels")
    joined = layers.Dense(3, "tanh")(layers.Concatenate()([noise, layers.Dense(2)(given)]))
    generator = keras.Model([noise, given], layers.Reshape((1, 1, 3))(joined))
    images, given = keras.Input((1, 1, 3), name="images"), keras.Input((2,), name="labels")
    flat = layers.Flatten()(images)
    if options.get("auxiliary_weight"):
        joined = layers.Concatenate()([flat, given])
        discriminator = keras.Model([images, given], [layers.Dense(1)(joined), layers.Dense(2)(flat)])
    else:
        discriminator = keras.Model([images, given], layers.Dense(1)(layers.Concatenate()([flat, given])))
    labels = Labels((Attribute("class", ("cat", "dog")),), np.array([[0], [1]], np.int32), np.array([3, 1]))
    return build(generator, discriminator, labels=labels, **{"penalty": Penalty(r1, 0.1), **options})


@pytest.mark.parametrize("options", [{}, {"ema_half_lives": (8.0,)}, {"auxiliary_weight": 0.5}, {"reuse_fakes": True}])
@pytest.mark.usefixtures("eagerly")
def test_labels_condition_both_networks(options):
    """Networks that take labels train on labelled batches, and samples depend on the label."""
    gan = build_with_labels(**options)
    assert gan.noise_shape == (3,) and gan.fixed_noise(4).shape == (4, 3)
    before = arrays([*gan.generator.variables, *gan.discriminator.variables])
    real, labels = tf.ones((4, 1, 1, 3)), tf.one_hot([0, 1, 0, 1], 2)
    scalars = gan.train_step((real, labels))
    assert np.isfinite([float(value) for value in scalars.values()]).all()
    assert ("label_loss" in scalars) == ("auxiliary_weight" in options)
    assert not any(unchanged(before, [*gan.generator.variables, *gan.discriminator.variables]))
    gan.calibrate_ema(lambda batch: None)
    noise = tf.tile(gan.fixed_noise(1), (2, 1))
    first, second = gan.generate_images(gan.pair_with_labels(noise, tf.eye(2))).numpy()
    assert np.abs(first - second).max() > 0.01


def test_labels_of_fakes():
    """Fakes have the labels of their batch; calibration and scores those of the data, a function of the seed."""
    gan, seen = build_with_labels(ema_half_lives=(8.0,)), []
    labels = tf.one_hot([0, 1, 0, 1], 2)
    fake, _ = gan.generate(gan.fixed_noise(4), labels)
    np.testing.assert_array_equal(fake, gan.generator([gan.fixed_noise(4), labels], training=True))
    gan.calibrate_ema(lambda batch: seen.extend(batch(i) for i in (0, 1, 0)))
    np.testing.assert_array_equal(seen[0][1], seen[2][1])
    assert seen[0][0].shape == (100, 3) and (seen[0][1].numpy() != seen[1][1].numpy()).any()
    drawn = gan.fixed_labels(4000, -2).numpy()
    assert drawn.shape == (4000, 2) and drawn.dtype == np.float32 and (drawn.sum(axis=1) == 1).all()
    assert drawn[:, 1].mean() == pytest.approx(0.25, abs=0.02)  # one image in four is a dog
    np.testing.assert_array_equal(drawn[:100], gan.fixed_labels(100, -2))
    dogs = dataclasses.replace(gan.labels, counts=np.array([1, 9]))
    assert gan.fixed_labels(4000, -2, dogs).numpy()[:, 1].mean() == pytest.approx(0.9, abs=0.02)
    assert build().fixed_labels(4, -2) is None


@pytest.mark.usefixtures("eagerly")
def test_auxiliary_loss_by_hand():
    """With an auxiliary classifier, D's gradient has that of its weight times the loss of real images' labels."""
    gan = build_with_labels(auxiliary_weight=0.5, penalty=None)
    real, labels = tf.random.stateless_normal((4, 1, 1, 3), (1, 2)), tf.one_hot([0, 1, 0, 1], 2)
    fake = gan.generator([gan.sample_noise(real, 0), labels], training=True)
    with tf.GradientTape() as tape:
        (real_logits, classes), (fake_logits, _) = (gan.discriminator([images, labels]) for images in (real, fake))
        error = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, classes))
        loss = gan.loss.discriminator(real_logits, fake_logits) + 0.5 * error
    expected = tf.linalg.global_norm(tape.gradient(loss, gan.d_weights))
    scalars = gan.train_step((real, labels))
    assert float(scalars["label_loss"]) == pytest.approx(float(error), rel=1e-5)
    assert float(scalars["grad_norm_d"]) == pytest.approx(float(expected), rel=1e-5)


def record_augmentation(**options):
    """A DCGAN that augments nothing, and the list to which each pass of D adds its images, seed and probability."""
    calls = []

    def augment(images, seed, probability):
        calls.append((images, tuple(seed.numpy()), float(probability)))
        return images

    return build(augment=augment, **options), calls


def test_random_numbers_of_augmentation():
    """Iterations, micro-steps, real images and fakes have seeds of their own; penalties those of the loss."""
    gan, calls = record_augmentation(
        discriminator_steps=2, loss=LOSSES["relativistic"], penalty=Penalty(REGULARIZERS["r1+r2"], 0.1, every=2)
    )
    train_eagerly(gan, faces(0))
    first = [number for _, (seed, number), _ in calls]
    assert first == [0, 1, 0, 1, 2, 3, 2, 3, 4, 5]  # of each micro-step real, fake, and the same for the penalty
    assert all(seed == 5 + 2**32 and probability == 1 for _, (seed, _), probability in calls)  # noise has seed 5
    assert calls[0][0] is calls[2][0] and calls[1][0] is calls[3][0]  # R1 is at the real images, R2 at fakes
    calls.clear()
    train_eagerly(gan, faces(0))
    assert [number for _, (_, number), _ in calls] == [6, 7, 8, 9, 10, 11]


def test_samples_are_not_augmented():
    """What is generated for grids, scores and calibration passes through no augmentation."""
    gan, calls = record_augmentation(ema_half_lives=(8.0,))
    gan.calibrate_ema(lambda noise: gan.calibrated_ema(noise(0), training=True))
    gan.generate_images(gan.fixed_noise(2))
    assert not calls
    train_eagerly(gan, faces(0))
    assert calls


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_training_with_augmentation(policy):
    """With DiffAugment, a step with R1 and R2, compiled or not, is finite, and changes every kernel."""
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(1)
    discriminator = DISCRIMINATORS["self-modulated"]((SIDE, SIDE, 3), 2)
    discriminator.set_weights([w if w.ndim == 1 else 10 * w for w in discriminator.get_weights()])
    gan = build(
        networks()[0], discriminator, penalty=Penalty(REGULARIZERS["r1+r2"], 0.1), adaptation=Adaptation(),
        augment=DISCRIMINATOR_AUGMENTATIONS["diffaugment"].function,
    )  # fmt: skip
    gan.adaptation.probability.assign(0.8)
    before = arrays(discriminator.trainable_variables)
    step = gan.step if policy == "float32" else gan.compiled_step
    scalars = step(faces(0), no_labels(faces(0)), True)
    assert np.isfinite([float(value) for value in scalars.values()]).all() and scalars["penalty"] > 0
    assert {"augment_probability", "real_sign"} <= scalars.keys()
    kernels = [i for i, weight in enumerate(before) if weight.ndim > 1]
    same = unchanged(before, discriminator.trainable_variables)
    assert not any(same[i] for i in kernels)


def test_frozen_layers():
    """The first layers with weights keep them and have no gradient; the optimizer has their moments all the same."""
    discriminator = DISCRIMINATORS["self-modulated"]((SIDE, SIDE, 3), 2)
    everything = len(build(networks()[0], discriminator).state())
    gan = build(networks()[0], discriminator, frozen_layers=2, penalty=Penalty(r1, 0.1))
    assert len(gan.state()) == everything and len(gan.d_variables) == len(discriminator.trainable_variables) - 4
    before = arrays(discriminator.trainable_variables)
    for number in range(2):
        train_eagerly(gan, faces(number))
    assert unchanged(before, discriminator.trainable_variables)[:5] == [True, True, True, True, False]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["conv", "self-modulated"])
def test_frozen_layers_with_labels(float32_afterwards, name, precision):
    """Embeddings of labels are trained, and not counted as layers."""
    keras.mixed_precision.set_global_policy(precision)
    discriminator = DISCRIMINATORS[name]((16, 16, 3), 2, labels=3)
    labels = Labels((Attribute("class", ("a", "b", "c")),), np.array([[0], [1], [2]], np.int32))
    gan = build(networks()[0], discriminator, frozen_layers=2, labels=labels)
    trained = {id(variable) for variable in gan.d_variables}
    trains = [id(layer.kernel) in trained for layer in discriminator.layers if hasattr(layer, "kernel")]
    assert trains == ([True, False, False, True] if name == "conv" else [False, False, True, True, True])


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_both_networks(name):
    """Three steps with each loss change every weight and report finite scalars."""
    gan = build(loss=LOSSES[name], penalty=Penalty(r1, 0.1))
    weights = [*gan.generator.trainable_variables, *gan.discriminator.trainable_variables]
    before = arrays(weights)
    for number in range(3):
        assert np.isfinite(train_eagerly(gan, faces(number))).all()
    still = {weight.path for weight, same in zip(weights, unchanged(before, weights), strict=True) if same}
    # Batch norm cancels the first bias, and a loss of differences of logits cancels the second.
    assert still <= {gan.generator.layers[0].bias.path, gan.discriminator.layers[-1].bias.path}


@pytest.mark.usefixtures("eagerly")
def test_gradient_norms_by_hand():
    """For D(x) = w . x and the loss D(x) - D(G(z)), the gradient is the mean difference of real and fake pixels."""
    difference = Loss(
        discriminator=lambda real, fake: tf.reduce_mean(real) - tf.reduce_mean(fake),
        generator=lambda real, fake: 0 * tf.reduce_sum(fake),
        scores=lambda real, fake: (real, fake),
    )
    real = tf.constant(np.random.default_rng(1).normal(size=(4, 1, 1, 3)), tf.float32)
    for scaled in (False, True):
        sgd = keras.optimizers.SGD(0.0)
        optimizer = keras.optimizers.LossScaleOptimizer(sgd, initial_scale=1024.0) if scaled else sgd
        gan = build(
            pixel_generator(), linear([1.0, -2.0, 4.0]), loss=difference, penalty=None, d_optimizer=optimizer,
            g_optimizer=keras.optimizers.SGD(0.0),
        )  # fmt: skip
        fake = gan.generator(gan.sample_noise(real, 0), training=True)
        scalars = gan.train_step((real, no_labels(real)))
        expected = np.linalg.norm(np.mean(real - fake, axis=(0, 1, 2)))
        assert float(scalars["grad_norm_d"]) == pytest.approx(expected, rel=1e-5) and scalars["grad_norm_g"] == 0
