"""gan/training/memory_estimate.py: estimates worked by hand, how they grow, and what is refused."""

import dataclasses
import functools
import os
import re

import keras
import pytest
import tensorflow as tf

from gan import experiment
from gan.config import Config
from gan.errors import UsageError
from gan.networks import build_uninitialized_networks
from gan.recipes import RECIPES
from gan.training import memory_estimate as memory
from gan.training.optimizers import OPTIMIZERS, build_optimizer

PLAIN = Config(penalty="none", ema_half_life=0.0, batch_size=100)


@pytest.fixture
def pair():
    """A generator of 36 weights, noise (2,) -> images (2, 2, 3), and a discriminator of 13."""
    generator = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(12, dtype="float32"), keras.layers.Reshape((2, 2, 3))]
    )
    discriminator = keras.Sequential(
        [keras.Input((2, 2, 3)), keras.layers.Flatten(), keras.layers.Dense(1, dtype="float32")]
    )
    return generator, discriminator


def estimate(config):
    """The estimate of a configuration, whose networks get no weights."""
    with build_uninitialized_networks(dataclasses.replace(config, precision="float32")) as networks:
        needed = memory.estimate_memory(config, *networks)
    keras.utils.clear_session()
    return needed


def test_an_estimate_worked_by_hand(pair):
    """Weights of 144 and 52 bytes, outputs of 48 and 4 bytes an image, noise of 8, pixels of 48."""
    variables = 3 * (144 + 52)  # with Adam's two slots
    exported, gradients = 144, 2 * (144 + 52)
    image = 0.75 * (48 + 2 * 4 + 2 * 48) + 2 * 8  # 130
    step = 100 * (image + 6 * 48)
    copies, scored = variables + 144, 2 * 1000 * 48
    expected = variables + exported + gradients + step + copies + scored
    assert memory.estimate_memory(PLAIN, *pair) == memory.BASE + expected
    assert memory.estimate_memory(PLAIN, *pair, gpu=True) == variables + exported + gradients + 100 * (image + 48)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"ema_half_life": 1.0}, 3 * 144),  # the average, its calibrated copy, and its copy in a checkpoint
        ({"ema_half_life": (1.0, 2.0)}, 5 * 144),  # one more average, and its copy
        ({"augment": "diffaugment"}, 100 * 12 * 48),
        ({"augment": "none"}, 0),
        ({"penalty": "r1"}, 100 * 0.75 * 2 * 4),
        ({"penalty": "r1", "penalty_weight": 0.0}, 0),
        (
            {"penalty_weight": 0.0, "penalty": "r1", "penalty_schedule": "linear", "final_penalty_weight": 0.1},
            100 * 0.75 * 2 * 4,
        ),
        ({"penalty": "r1+r2"}, 100 * 0.75 * 4 * 4),
        ({"penalty": "r1+r2", "penalty_method": "finite-difference", "penalty_batch": 0.5}, 100 * 0.75 * 4),
        ({"optimizer": "acgd"}, 100 * 0.75 * 2 * (48 + 2 * 4)),
        ({"discriminator_steps": 3}, 100 * 2 * 6 * 48),
        ({"batch_size": 101}, 130 + 6 * 48),
        ({"batch_size": 1}, 200 * (8 + 48) - 100 * (130 + 6 * 48)),  # then generating 100 images takes most
    ],
)
def test_what_a_setting_adds(pair, changes, more):
    """Bytes by hand, of the networks above."""
    changed = memory.estimate_memory(dataclasses.replace(PLAIN, **changes), *pair)
    assert changed - memory.estimate_memory(PLAIN, *pair) == more


def test_half_precision_takes_half():
    """Outputs of a layer that computes in bfloat16 have two bytes; weights keep four."""
    layer = keras.layers.Dense(12, dtype="mixed_bfloat16")
    network = keras.Sequential([keras.Input((2,)), layer])
    assert memory.count_activations(network) == (24, 24) and memory.count_weights(network) == 144


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_slots_of_the_optimizers(name):
    """As many variables as a weight of 1,000 gets; sgd has one less than is estimated."""
    optimizer, weight = build_optimizer(name, 0.1, (0.5, 0.9)), keras.Variable(tf.zeros(1000))
    optimizer.build([weight])
    found = sum(variable.shape == (1000,) for variable in optimizer.variables)
    assert found + (name == "sgd") == memory.OPTIMIZER_SLOTS


@pytest.mark.parametrize(
    "recipe",
    [
        *("default", "keras-gan-dense"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("udacity-2x2", "keras-gan-upsample", "conv-dense")),
    ],
)
def test_more_takes_more(recipe):
    """A wider network, a larger image and longer noise, of every kind of network; none builds its weights."""
    config = Config(**RECIPES[recipe])
    usual = estimate(config)
    for changes in ({"width": 100_000}, {"discriminator_width": 300}, {"image_size": 128}):
        assert estimate(dataclasses.replace(config, **changes)) > usual, changes
    assert estimate(dataclasses.replace(config, noise="vector", noise_size=10**9)) > 10**12


@pytest.mark.parametrize(("gpu", "most"), [(False, 0), (False, 1234), (False, 150_000), (True, 30_000)])
def test_the_largest_batch_is_the_largest(pair, gpu, most):
    """It fits, and one image more does not."""
    most += 0 if gpu else int(memory.BASE) + 110_000
    config = dataclasses.replace(PLAIN, batch_size=10**7)
    batch = memory.find_largest_batch(config, *pair, most, gpu)
    fits = [
        memory.estimate_memory(dataclasses.replace(config, batch_size=b), *pair, gpu) <= most
        for b in (batch, batch + 1)
    ]
    assert (batch == 0 or fits[0]) and not fits[1]
    assert memory.find_largest_batch(dataclasses.replace(config, batch_size=1), *pair, 10**12, gpu) == 1


@pytest.mark.parametrize("gpu", [False, True])
def test_what_does_not_fit_is_refused(pair, monkeypatch, gpu):
    """The message has what is needed, what there is, and the largest batch; for a GPU it is a warning."""
    machine, card = (10**12, 2_000_000_000) if gpu else (2_000_000_000, None)
    monkeypatch.setattr(memory, "available_memory", lambda: machine)
    monkeypatch.setattr(memory, "available_gpu_memory", lambda: card)
    refused = functools.partial(pytest.warns, UserWarning) if gpu else functools.partial(pytest.raises, UsageError)
    with refused(match=r"2\.0 GB") as caught:
        memory.require_memory(dataclasses.replace(PLAIN, batch_size=10**8), *pair)
    message = str(caught[0].message if gpu else caught.value)
    assert ("GPU" in message) is gpu
    largest = int(re.search(r"--batch-size (\d+)", message)[1])
    memory.require_memory(dataclasses.replace(PLAIN, batch_size=largest), *pair)
    with refused():
        memory.require_memory(dataclasses.replace(PLAIN, batch_size=largest + 1), *pair)
    # Three have a third each: of what a machine has, if they are processes; of a GPU each, if they are replicas.
    parts = {"replicas": 3} if gpu else {"processes": 3}
    memory.require_memory(dataclasses.replace(PLAIN, batch_size=3 * largest), *pair, **parts)
    with refused(match=f"--batch-size {3 * largest}"):
        memory.require_memory(dataclasses.replace(PLAIN, batch_size=3 * largest + 1), *pair, **parts)
    if not gpu:  # two processes that share the machine have half of its memory each
        memory.require_memory(dataclasses.replace(PLAIN, batch_size=1), *pair, processes_here=2)
        with refused(match=r"1\.0 GB are available"):
            memory.require_memory(dataclasses.replace(PLAIN, batch_size=largest), *pair, processes_here=2)
    grouped = dataclasses.replace(PLAIN, batch_size=10**8, minibatch_stddev=True)
    with refused(match=rf"--batch-size {largest - largest % 4}\."):
        memory.require_memory(grouped, *pair)


def test_where_no_batch_fits(pair, monkeypatch):
    """The message says what else to lower."""
    monkeypatch.setattr(memory, "available_memory", lambda: 10**8)
    with pytest.raises(UsageError, match=r"--width.*--noise-size.*--image-size"):
        memory.require_memory(PLAIN, *pair)


def test_where_nothing_is_known_nothing_is_refused(pair, monkeypatch):
    """And only the estimate is shown."""
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    config = dataclasses.replace(PLAIN, batch_size=10**9)
    memory.require_memory(config, *pair)
    assert "available" not in memory.describe_memory(config, *pair)
    monkeypatch.setattr(memory, "available_memory", lambda: 20_050_000_000)
    assert memory.describe_memory(PLAIN, *pair) == "about 0.9 GB of memory, 20.1 GB available"


def test_what_is_refused_gets_no_memory(float32_afterwards):
    """Networks of 400 TB of weights are described, refused and forgotten; smaller ones are built afterwards."""
    wide = Config(recipe="udacity-64", generator="conv", discriminator="conv", width=1_000_000, precision="float32")

    def check(config, generator, discriminator):
        assert memory.count_weights(generator) > 4e14
        memory.require_memory(config, generator, discriminator)

    with pytest.raises(UsageError, match="--width"):
        experiment.build_gan(wide, check)
    narrow = dataclasses.replace(wide, width=4, image_size=16)
    assert experiment.build_gan(narrow, check=lambda *_: None).generator.count_params() > 0


def test_weights_are_those_of_networks_built_at_once(float32_afterwards):
    """Values that come later are the same to the bit, a trained-on projection of noise and dropout included."""
    from models import DISCRIMINATORS, GENERATORS

    for name in ("self-modulated", "upsample", "residual-free"):
        config = Config(
            generator=name, discriminator=name, noise="image", image_size=8, width=4, dropout=0.1, seed=7,
            ema_half_life=0.0,
        )  # fmt: skip
        gan = experiment.build_gan(dataclasses.replace(config, precision="float32"))
        keras.utils.set_random_seed(7)
        shape = (8, 8, 3)
        for built, network in (
            (gan.generator, GENERATORS[name](shape, shape, 4)),
            (gan.discriminator, DISCRIMINATORS[name](shape, 4, 0.1)),
        ):
            assert len(built.variables) == len(network.variables)
            for ours, theirs in zip(built.variables, network.variables, strict=True):
                assert (ours.numpy() == theirs.numpy()).all(), ours.path


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("script", "expected"),
    [("printf '1000\\n2000\\n'", 2000 * 2**20), ("echo [N/A]", None), ("exit 9", None), (None, None)],
)
def test_the_memory_of_a_gpu(tmp_path, monkeypatch, script, expected):
    """As nvidia-smi says; of several GPUs the most, or the least. Unknown where it fails or is missing."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    assert memory.available_gpu_memory() == expected
    assert memory.available_gpu_memory(min) == (expected and 1000 * 2**20)


def test_without_a_gpu_its_memory_is_not_asked_for(monkeypatch):
    """No process is started for it."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [])
    monkeypatch.setattr(memory.subprocess, "run", lambda *args, **options: pytest.fail("it is asked for"))
    assert memory.available_gpu_memory() is None
