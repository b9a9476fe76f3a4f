"""Each flag of networks and of training, alone beside the defaults: training stays healthy, and resumes exactly.

The short test takes two steps of small networks without a graph, with sizes and precisions that take turns from flag to
flag, and looks at whether all is finite. With the environment variable FACES_ALL=1, train.py trains `default` for 200
iterations with each flag, at each size and in each precision, and no failure mode may be found. That takes hours, and
can be done in parts, by the names of the tests:

    FACES_ALL=1 python -m pytest tests/test_flags.py -k "32-float32 and (depth or upsampling)"
    FACES_ALL=1 python -m pytest tests/test_flags.py -k head-san-64-mixed_bfloat16
"""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import ALL, LONG, save_without_charts

import data
import train
from gan import config, experiment
from gan.cli import parse_arguments
from gan.images import to_float
from gan.runs import checkpoints
from gan.runs.run_directory import Run
from gan.training import diagnostics
from gan.training.distribution import Distribution
from gan.training.loop import Loop
from gan.training.schedule import RunLength

pytestmark = [pytest.mark.slow(minutes=3), pytest.mark.usefixtures("float32_afterwards")]

BATCH = 8
SMALL = [
    *("--recipe", "default", "--width", "4", "--batch-size", str(BATCH), "--augment", "none"),
    *("--ema-half-life", "0"),  # copies of the networks, which only a flag of its own needs
]
# Health is looked at twice, and the second time there is a score, of diversity and copies.
HEALTHY = [
    *("--recipe", "default", "--epochs", "200", "--sample-every", "100"),
    *("--score-every", "200", "--score-samples", "256"),
]
FLAGS = [
    "--depth 1",
    "--palette 16",
    *(f"--upsampling {kind}" for kind in config.UPSAMPLINGS),
    *(f"--generator-normalization {kind}" for kind in config.NORMALIZATIONS),
    *(f"--discriminator-normalization {kind}" for kind in config.NORMALIZATIONS),
    *("--generator residual", "--generator residual-free --generator-learning-rate 2e-4"),
    *("--discriminator residual", "--discriminator residual-free"),
    "--minibatch-stddev",
    "--head san",
    "--penalty-method finite-difference",
    "--penalty-batch 0.5",
    "--loss wasserstein --penalty gradient",
    "--discriminator-noise 0.1",
    "--penalty-schedule cosine --final-penalty-weight 0.005",
    "--beta-schedule linear",
    "--learning-rate-schedule cooldown",
    "--ema-half-life 50 20000",
    "--optimizer acgd --penalty none",
]
PRECISIONS = ("float32", "mixed_bfloat16")


def possible(flags, sizes):
    """The sizes and precisions that go with flags, by turns: acgd is in float32 alone."""
    turns = [(size, PRECISIONS[(i + j) % 2]) for j in range(2) for i, size in enumerate(sizes)]
    return [one for one in turns if "acgd" not in flags or one[1] == "float32"]


def case(flags, size, precision):
    """A case of a test, whose name has no spaces and begins with no hyphen, so that -k can choose it."""
    words = flags.replace("--", "").split()
    return pytest.param(flags, size, precision, id="-".join([*words, str(size), precision]))


ONE_EACH = [case(flags, *(found := possible(flags, (16, 32)))[i % len(found)]) for i, flags in enumerate(FLAGS)]
EVERY = [case(flags, *one) for flags in FLAGS for one in possible(flags, (32, 64))] if ALL else []  # one skip, not 140


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The folder of the avatars' cache."""
    return tmp_path_factory.mktemp("cache")


def assert_equal(whole, resumed):
    """All arrays are equal to the bit."""
    assert whole.keys() == resumed.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(array, resumed[name], err_msg=name)


def train_steps(settings, gan, images, first, last):
    """Takes the steps `first` to `last` of a run of two; returns the state after them."""
    loop = Loop(settings, gan, None, RunLength(2), Distribution())
    loop.iteration = first
    for i in range(first, last):
        batch = tf.constant(to_float(images[BATCH * i : BATCH * (i + 1)].astype(np.float32)))
        scalars = loop.step(iter([(batch, tf.zeros((BATCH, 0)))]))
        assert np.isfinite([float(value) for value in scalars.values()]).all()
    return {name: variable.numpy() for name, variable in gan.state().items()}


@pytest.mark.skipif(ALL, reason="FACES_ALL has longer trainings")
@pytest.mark.parametrize(("flags", "size", "precision"), ONE_EACH)
def test_a_flag(cache, flags, size, precision):
    """A step, and a second one from the state after it, are two steps to the bit."""
    keras.utils.clear_session()
    line = [*SMALL, *flags.split(), "--image-size", str(size), "--precision", precision]
    # The second step has a penalty only where the flag changes it, as it takes long.
    settings = parse_arguments([*line, "--penalty-every", "1" if "penalty" in flags else "2"])[0]
    keras.mixed_precision.set_global_policy(precision)
    images = data.load("avatars", size, limit=60, cache_dir=cache).images
    tf.config.run_functions_eagerly(True)
    try:
        gan = experiment.build_gan(settings)
        half = train_steps(settings, gan, images, 0, 1)
        whole = train_steps(settings, gan, images, 1, 2)
        assert any(not np.array_equal(half[name], whole[name]) for name in whole if name.startswith("generator/"))
        for name, variable in gan.state().items():
            variable.assign(half[name])
        assert_equal(whole, train_steps(settings, gan, images, 1, 2))
    finally:
        tf.config.run_functions_eagerly(False)


def newest(run):
    """The arrays of a run's newest checkpoint, except those that depend on the time."""
    arrays = checkpoints.load(checkpoints.list_paths(run.checkpoints)[-1], {})
    return {name: array for name, array in arrays.items() if not name.endswith("seconds") and name != "validation"}


@LONG
@pytest.mark.parametrize(("flags", "size", "precision"), EVERY)
def test_a_run_with_a_flag(cache, tmp_path, monkeypatch, flags, size, precision):
    """200 iterations show no failure mode; the last 100, from a checkpoint, are the same to the bit.

    Losses and scores are judged over the last 100 iterations, and not the last 500. Small networks have to do for acgd.
    """
    keras.utils.clear_session()
    monkeypatch.chdir(tmp_path)
    save_without_charts(monkeypatch)
    monkeypatch.setattr(diagnostics, "WINDOW", 100)
    line = [*HEALTHY, *flags.split(), "--image-size", str(size), "--precision", precision, "--cache-dir", str(cache)]
    line += ["--run", "it", *(("--width", "8", "--batch-size", "32") if "acgd" in flags else ())]
    run = Run("output/it")
    assert train.main(line) == 0
    assert run.tables.read_scores()[-1]["iteration"] == 200
    with open(run.tables.diagnostics, newline="") as file:
        assert list(csv.DictReader(file)) == []
    whole = newest(run)
    checkpoints.list_paths(run.checkpoints)[-1].unlink()
    assert int(newest(run)["iteration"]) == 100
    keras.utils.clear_session()
    assert train.main(line) == 0
    assert_equal(whole, newest(run))
