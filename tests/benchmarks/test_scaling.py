"""benchmarks/scaling.py: what it counts, and its arithmetic."""

import argparse

import keras
import pytest

from benchmarks import scaling
from gan import experiment
from gan.config import Config


def test_times_by_hand():
    """A quarter of 8 images is 2 ms of computing; three quarters of the gradients are sent twice, and 10 sums wait."""
    step = scaling.Step(operations=1e9, gradients=1_000_000, sums=10)
    arguments = argparse.Namespace(flops=1e12, link=1e9, latency=1e-4)
    assert scaling.seconds(step, 8, 4, arguments) == pytest.approx((0.002, 0.0015 + 0.001))
    assert scaling.seconds(step, 8, 1, arguments) == pytest.approx((0.008, 0))


def test_operations_of_dense_networks():
    """Those of matrix products: forward once, and twice that backward; the discriminator sees fakes twice."""
    config = Config(
        generator="dense",
        discriminator="dense",
        image_size=16,
        width=64,
        penalty="none",
        batch_size=64,
        precision="float32",
    )
    gan = experiment.build_gan(config)
    g, d = (
        sum(layer.kernel.shape.num_elements() for layer in network.layers if isinstance(layer, keras.layers.Dense))
        for network in (gan.generator, gan.discriminator)
    )
    step = scaling.count(config)
    assert step.operations == pytest.approx(2 * (3 * g + 2 * 3 * d + 2 * d), rel=0.1)
    weights = sum(w.shape.num_elements() for w in [*gan.generator.trainable_variables, *gan.d_variables])
    assert step.gradients == 4 * weights


def test_table(capsys):
    """A line for each number of replicas, of which one loses nothing; more than one do."""
    flags = ["--image-size", "16", "--width", "4", "--discriminator-width", "4", "--batch-size", "8"]
    flags += ["--generator", "dense", "--discriminator", "dense", "--penalty", "none"]
    assert scaling.main([*flags, "--replicas", "1", "4"]) == 0
    one, four = capsys.readouterr().out.splitlines()[-2:]
    assert "| 100% |" in one and "| 100% |" not in four
