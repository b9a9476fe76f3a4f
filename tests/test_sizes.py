"""Every size, recipe and network that README and --help name trains at its real width and batch size.

Some faults of TensorFlow's graph optimizer show only there, not in networks that are narrow enough for a quick test.
With the environment variable FACES_ALL=1, what takes longest is among them.
"""

import dataclasses

import numpy as np
import pytest
from helpers import LONG

from gan.cli import parse_arguments
from gan.config import DISCRIMINATORS, Config
from gan.recipes import RECIPES

pytestmark = pytest.mark.slow(minutes=4)


def train_each_step(config, precision="float32", steps=2):
    """A step with the penalty, if there is one, and a step without; every scalar and every sample is finite."""
    import keras
    import tensorflow as tf

    from gan.experiment import build_gan

    keras.backend.clear_session()
    gan = build_gan(dataclasses.replace(config, precision=precision))
    size, count = config.image_size, config.images_per_iteration
    rng = np.random.default_rng(0)
    for step in range(1 if config.penalty == "none" else steps):
        images = tf.constant(rng.uniform(-1, 1, (count, size, size, 3)), tf.float32)
        scalars = gan.train_step((images, tf.zeros((count, 0))))
        assert np.isfinite([float(value) for value in scalars.values()]).all()
        assert ("penalty" in scalars) == (config.penalty != "none" and step == 0)
    samples = gan.ema_generator(gan.fixed_noise(4), training=False).numpy()
    assert samples.shape == (4, size, size, 3) and np.abs(samples).max() <= 1


@pytest.mark.parametrize(
    ("size", "noise"),
    [
        *((size, "vector") for size in (16, 28, 32, 64, 128)), (64, "image"),
        *(pytest.param(size, "vector", marks=LONG) for size in (20, 36, 60, 96, 124)),  # other sides of the first maps
        pytest.param(128, "image", marks=LONG),
    ],
)  # fmt: skip
def test_default_at_every_size(size, noise):
    """The recipe `default` at its own width and batch size."""
    train_each_step(parse_arguments(["--recipe", "default", "--image-size", str(size), "--noise", noise])[0])


@pytest.mark.parametrize("precision", ["float32", pytest.param("mixed_bfloat16", marks=LONG)])
@pytest.mark.parametrize("recipe", [name for name in RECIPES if name != "default"])
@pytest.mark.usefixtures("float32_afterwards")
def test_every_recipe(recipe, precision):
    """Each recipe at its own size, width and batch size."""
    train_each_step(parse_arguments(["--recipe", recipe])[0], precision)


@pytest.mark.parametrize(
    "name",
    [
        *("conv", "upsample", "residual", "residual-free"),
        # Their recipes train at 32 and 28.
        *(pytest.param(name, marks=LONG) for name in ("conv-2x2", "dense", "conv-dense")),
    ],
)
def test_every_network_at_64(name):
    """Each other generator than the default one at 64 x 64, with the discriminator of its pair and the penalty."""
    pair = ["--generator", name, "--discriminator", name if name in DISCRIMINATORS else Config.discriminator]
    train_each_step(parse_arguments(["--recipe", "default", "--image-size", "64", *pair])[0], steps=1)
