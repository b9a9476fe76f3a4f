"""A GAN of two tiny networks that trains in milliseconds a step, for tests of the trainer."""

import csv

import keras
import numpy as np
import tensorflow as tf
from helpers import faces, real
from keras import layers

from dcgan import DCGAN, NOISES
from gan.config import Config
from gan.images import to_uint8
from gan.progress import RunLength
from gan.runs.run_directory import Run
from gan.training import ema
from gan.training.losses import LOSSES
from gan.training.optimizers import adam
from gan.training.regularizers import REGULARIZERS
from gan.training.trainer import Trainer
from gan.training.validation import Validator

TRAINING = faces(512, 2)
SPREAD = ema.dataset_variance(TRAINING, mirrored=False)


def generator(*first, bias="zeros"):
    """A small generator, (n, 8) -> (n, 16, 16, 3); `first` are layers that the noise passes before all others."""
    keras.utils.set_random_seed(1)
    colours = layers.Dense(
        48, "tanh", kernel_initializer=keras.initializers.RandomNormal(0, 0.15), bias_initializer=bias
    )
    return keras.Sequential(
        [keras.Input((8,)), *first, colours, layers.Reshape((4, 4, 3)), layers.UpSampling2D(4)], name="generator"
    )


def discriminator(activation="leaky_relu", bias="zeros"):
    """A small discriminator of 4 x 4 means."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.AveragePooling2D(4),
            layers.Flatten(),
            layers.Dense(16, activation, bias_initializer=bias),
            layers.Dense(1),
        ]
    )


def game(made=None, opponent=None, rates=(2e-3, 1e-3), weight=0.05):
    """The game of two small networks, healthy unless others are given."""
    return DCGAN(
        made or generator(),
        opponent or discriminator(),
        g_optimizer=adam(rates[0], 0.0, 0.99),
        d_optimizer=adam(rates[1], 0.0, 0.99),
        loss=LOSSES["cross-entropy"],
        penalty=REGULARIZERS["r1"],
        penalty_weight=weight,
        penalty_every=4,
        noise=NOISES["normal"],
        reuse_fakes=True,
    )


def course(folder, one, iterations, every=0, code=0):
    """Plays a game to an exit code, a score at each picture, and returns the rows of health.csv."""

    def make(count):
        return to_uint8(one.imagine(one.fixed_noise(count, stream=-2)))

    def batches(start):
        for i in range(start, iterations):
            rows = np.random.default_rng([7, i]).integers(0, len(TRAINING), 16)
            yield tf.constant(TRAINING[rows] / 127.5 - 1, tf.float32)

    every = every or iterations
    config = Config(batch_size=16, image_size=16, epochs=iterations, sample_every=every, score_every=every)
    judge = Validator(real(faces(200, 1)), real(TRAINING), make, samples=128, forced=True)
    run = Run(folder)
    assert Trainer(config, one, run, batches, RunLength(iterations), judge, SPREAD).play() == code
    with open(run.health, newline="") as file:
        return list(csv.DictReader(file))


def sick_for_a_while(start, end):
    """A game whose generator is pressed to the ends after step `start`, and gets well after step `end`."""
    one = game()
    *_, well = one.generator.get_weights()
    step = one.train_step

    def train_step(batch):
        losses = step(batch)
        ill = start <= int(one.iteration) < end
        one.generator.weights[-1].assign(np.where(np.arange(48) % 2, 20.0, -20.0) if ill else well)
        return losses

    one.train_step = train_step
    return one
