"""The loop of a process that does not write: what the processes of a run agree on."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from gan import experiment
from gan.config import Config
from gan.errors import RunError
from gan.training.distribution import Distribution
from gan.training.loop import Loop
from gan.training.regularizers import Penalty, r1
from gan.training.schedule import RunLength


class FakeGAN:
    """A GAN whose steps only count."""

    def __init__(self):
        self.iteration, self.adaptation = 0, None
        self.g_optimizer = self.d_optimizer = SimpleNamespace(learning_rate=tf.constant(0.1))

    def state(self):
        return {}

    def train_step(self, batch):
        return {}


class Cluster(Distribution):
    """Process 1 of two, which hears a given chief; a signal comes while it waits at a given agreement."""

    def __init__(self, chief, signal_at=None):
        super().__init__()
        self.index, self.count = 1, 2
        self.chief, self.signal_at, self.heard = iter(chief), signal_at, []

    def broadcast_state(self, variables):
        pass

    def gather(self, values):
        values = np.asarray(list(values), np.float64)
        if len(values) == 1:  # the end
            return values[None]
        self.heard.append((self.loop.iteration, values.tolist()))
        if len(self.heard) - 1 == self.signal_at:
            self.loop.stop(15, None)
        return np.stack([next(self.chief), values])


def train(cluster):
    """Trains until the chief says so. Returns the exit code and the iteration."""
    cluster.loop = Loop(Config(), FakeGAN(), lambda start: itertools.repeat(()), RunLength(100, 0.0), cluster)
    return cluster.loop.train(), cluster.loop.iteration


def test_agreements_are_as_the_chief_says():
    """The loop asks at the iterations that the chief names, and ends where it says so."""
    cluster = Cluster([(0, 0, 0.0, 1), (0, 0, 1.0, 4), (0, 0, 3.0, 2), (0, 1, 4.0, 1)])
    assert train(cluster) == (0, 7) and [iteration for iteration, _ in cluster.heard] == [0, 1, 5, 7]
    assert cluster.loop.agreed_step_seconds == pytest.approx(0.5)  # 1 second for two iterations


def test_a_signal_to_the_chief():
    """The loop ends with the exit code of the signal that another process received."""
    assert train(Cluster([(0, 0, 0.0, 3), (2, 0, 1.0, 3)])) == (130, 3)


def test_a_signal_while_processes_agree():
    """It is heard at the next agreement, by all: the rows of this one do not have it."""
    cluster = Cluster([(0, 0, 0.0, 1), (0, 0, 1.0, 2), (0, 0, 1.0, 2)], signal_at=1)
    assert train(cluster) == (143, 3)
    assert [values[0] for _, values in cluster.heard] == [0, 0, 15]


@pytest.mark.parametrize(
    ("error", "count", "raised", "words"),
    [
        (tf.errors.ResourceExhaustedError, 1, RunError, "--batch-size"),
        (tf.errors.UnavailableError, 2, RunError, "another process"),
        (tf.errors.UnavailableError, 1, RuntimeError, "input pipeline"),
        (tf.errors.InvalidArgumentError, 1, RuntimeError, "input pipeline"),
    ],
)
def test_failures_of_the_input(error, count, raised, words):
    """Too little memory, or a lost process, is told to the user as if it came from the step; else it is a bug."""

    def batches(start):
        raise error(None, None, "it failed")
        yield

    distribution = Distribution()
    distribution.count = count
    loop = Loop(Config(), FakeGAN(), batches, RunLength(100, 0.0), distribution)
    with pytest.raises(raised, match=words), loop.explain_failures():
        loop.step(iter(batches(0)))


def test_scheduled_settings():
    """A quarter of the way, the noise is 3/4 of its start, and the others are between start and end on a cosine."""
    config = Config(
        learning_rate_schedule="linear",
        discriminator_noise=0.4, penalty_schedule="cosine", penalty_weight=2.0, final_penalty_weight=0.2,
        beta_schedule="linear", generator_betas=(0.0, 0.9), discriminator_betas=(0.0, 0.5), final_beta2=0.98,
    )  # fmt: skip
    gan = FakeGAN()
    gan.penalty, gan.discriminator_noise = Penalty(r1, tf.Variable(0.0)), tf.Variable(0.0)
    gan.g_optimizer, gan.d_optimizer = (
        SimpleNamespace(learning_rate=tf.constant(0.1), beta_2=tf.Variable(0.0)) for _ in range(2)
    )
    loop = Loop(config, gan, lambda start: itertools.repeat(()), RunLength(100, 0.0), Distribution())
    loop.iteration = 25
    loop.set_scheduled()
    assert float(gan.discriminator_noise) == pytest.approx(0.3)
    assert [optimizer.learning_rate for optimizer in (gan.g_optimizer, gan.d_optimizer)] == pytest.approx([0.075] * 2)
    assert float(gan.penalty.weight) == pytest.approx(0.2 + 1.8 * (0.5 + 0.5 * np.sqrt(0.5)))
    assert float(gan.g_optimizer.beta_2) == pytest.approx(0.9 + 0.25 * 0.08)
    assert float(gan.d_optimizer.beta_2) == pytest.approx(0.5 + 0.25 * 0.48)


def test_a_penalty_that_starts_at_nothing():
    """A weight that goes from 0 to 0.2 is 0.1 after half of the run, and its gradient counts from the second step."""
    config = Config(
        image_size=8, noise_size=4, width=2, batch_size=4, precision="float32", generator="dense",
        discriminator="dense", ema_half_life=0.0, penalty_weight=0.0, penalty_schedule="linear",
        final_penalty_weight=0.2, penalty_every=1,
    )  # fmt: skip
    gan = experiment.build_gan(config)
    loop = Loop(config, gan, None, RunLength(2), Distribution())
    batch = tf.random.stateless_normal((4, 8, 8, 3), (0, 1)), tf.zeros((4, 0))
    penalties = [float(loop.step(itertools.repeat(batch))["penalty"]) for _ in range(2)]
    assert penalties[0] == 0 and float(gan.penalty.weight) == pytest.approx(0.1) and penalties[1] > 0
