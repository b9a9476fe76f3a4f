"""A GAN of two small networks, whose steps take milliseconds, for tests of the trainer."""

import csv

import keras
import numpy as np
import tensorflow as tf
from helpers import faces, real
from keras import layers

from dcgan import DCGAN, NOISE_DISTRIBUTIONS
from gan.config import Config
from gan.images import to_uint8
from gan.runs.run_directory import Run
from gan.training.losses import LOSSES
from gan.training.optimizers import build_optimizer
from gan.training.regularizers import Penalty, r1
from gan.training.schedule import RunLength
from gan.training.trainer import Trainer
from gan.training.validation import Scorer, Validator

TRAINING = faces(512, 2)


def generator(*first, bias="zeros"):
    """A small generator, noise (n, 8) -> images (n, 16, 16, 3); `first` are its first layers."""
    keras.utils.set_random_seed(1)
    colors = layers.Dense(
        48, "tanh", kernel_initializer=keras.initializers.RandomNormal(0, 0.15), bias_initializer=bias
    )
    return keras.Sequential(
        [keras.Input((8,)), *first, colors, layers.Reshape((4, 4, 3)), layers.UpSampling2D(4)], name="generator"
    )


def discriminator(activation="leaky_relu", bias="zeros"):
    """A small discriminator, whose input is reduced to 4 x 4 means."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.AveragePooling2D(4),
            layers.Flatten(),
            layers.Dense(16, activation, bias_initializer=bias),
            layers.Dense(1),
        ]
    )


def build(g=None, d=None, rates=(2e-3, 1e-3), weight=0.05, half_lives=()):
    """Builds a GAN from the given networks, or from two small ones that train well."""
    return DCGAN(
        g or generator(),
        d or discriminator(),
        g_optimizer=build_optimizer("adam", rates[0], (0.0, 0.99)),
        d_optimizer=build_optimizer("adam", rates[1], (0.0, 0.99)),
        loss=LOSSES["cross-entropy"],
        penalty=Penalty(r1, weight, every=4) if weight else None,
        noise=NOISE_DISTRIBUTIONS["normal"],
        reuse_fakes=True,
        ema_half_lives=half_lives,
    )


def train(folder, gan, iterations, every=0, code=0):
    """Trains with a score at each grid, checks the exit code, and returns the rows of diagnostics.csv."""

    def generate(count):
        return to_uint8(gan.generate_images(gan.fixed_noise(count, stream=-2)))

    def batches(start):
        for i in range(start, iterations):
            rows = np.random.default_rng([7, i]).integers(0, len(TRAINING), 16)
            yield tf.constant(TRAINING[rows] / 127.5 - 1, tf.float32), tf.zeros((16, 0))

    every = every or iterations
    config = Config(
        batch_size=16, image_size=16, epochs=iterations, sample_every=every, score_every=every,
        ema_half_life=tuple(gan.averages) or 0.0,
    )  # fmt: skip
    validator = Validator(Scorer(real(faces(200, 1)), real(TRAINING), generate), samples=128, forced=True)
    run = Run(folder)
    assert Trainer(config, gan, run, batches, RunLength(iterations), validator, variance=0.0).train() == code
    with open(run.tables.diagnostics, newline="") as file:
        return list(csv.DictReader(file))


def saturated_for_a_while(start, end):
    """A GAN whose samples are saturated after the steps from `start` to `end` - 1."""
    gan = build()
    *_, bias = gan.generator.get_weights()
    step = gan.train_step

    def train_step(batch):
        scalars = step(batch)
        saturated = start <= int(gan.iteration) < end
        gan.generator.weights[-1].assign(np.where(np.arange(48) % 2, 20.0, -20.0) if saturated else bias)
        return scalars

    gan.train_step = train_step
    return gan
