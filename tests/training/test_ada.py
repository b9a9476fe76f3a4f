"""ADA's probability by hand, and its control of a simulated discriminator."""

import pytest
import tensorflow as tf

from gan.training import ada
from gan.training.ada import HIGHEST, TARGET, Adaptation


def scores(share, count=10):
    """Scores of real images, of which that share is taken for real."""
    return tf.constant([[0.9 if i < count * share else 0.1] for i in range(count)])


def test_update_by_hand(monkeypatch):
    """The mean sign is a moving average over four batches; the probability moves by the speed, and not below 0."""
    monkeypatch.setattr(ada, "TARGET", 0.6)
    adaptation = Adaptation()
    adaptation.speed.assign(0.25)
    found = [adaptation.update(scores(share)) for share in (1, 1, 1, 1, 0.5, 0, 0, 0)]
    # 1, then 0, then -1 move it a quarter of the way: 1 - 0.75 = 0.25, 1 - 0.75^2, ..., 0.68 * 0.75, ...
    expected = [0.25, 0.4375, 0.578125, 0.683594, 0.512695, 0.134521, -0.149109, -0.361832]
    assert [float(one["real_sign"]) for one in found] == pytest.approx(expected, abs=1e-6)
    assert [float(one["augment_probability"]) for one in found] == [0, 0, 0, 0.25, 0, 0, 0, 0]
    assert adaptation.state().keys() == {"augment_probability", "real_sign"}


def test_limit():
    """The probability does not exceed that up to which nothing leaks."""
    adaptation = Adaptation()
    adaptation.speed.assign(0.3)
    for _ in range(9):
        found = adaptation.update(scores(1))
    assert float(found["augment_probability"]) == pytest.approx(HIGHEST) and pytest.approx(0.8) == HIGHEST


def test_control():
    """A discriminator whose mean sign is 0.4 - p comes to a probability near 0.4 - target."""
    adaptation = Adaptation()
    adaptation.speed.assign(0.01)
    for _ in range(200):
        adaptation.update(scores((1.4 - float(adaptation.probability)) / 2, count=1000))
    assert float(adaptation.probability) == pytest.approx(0.4 - TARGET, abs=0.02)
